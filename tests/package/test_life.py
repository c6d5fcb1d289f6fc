"""The package in fresh systems: installed, used, upgraded, removed."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machine.tools import ToolFailed, run
from tests.package import roots
from tests.package.conftest import NEXT
from tests.package.system import System

VENV = "/opt/ogagent"


def test_from_the_first_installation_to_nothing(
    debian: System, suite: str, deb: Path, next_deb: Path, show: Callable[[str, list[str]], None]
) -> None:
    before = debian.files()
    debian.install(deb)
    assert debian.run("ogagent", "--version").startswith("ogagent ")
    assert (debian.root / f"opt/ogagent/venv/lib/python{roots.SUITES[suite]}").is_dir()
    configuration = debian.root / "etc/ogagent/ogagent.toml"
    assert configuration.stat().st_mode & 0o777 == 0o600
    assert "nothing is wrong" in debian.run("ogagent", "config", "--check", "/etc/ogagent/ogagent.toml")
    links = debian.root / "etc/systemd/system/multi-user.target.wants"
    assert [path.name for path in links.glob("ogagent*")] == ["ogagent.service"]
    size = debian.run("du", "--summarize", "--dereference-args", "--block-size=1M", f"{VENV}/venv").split()[0]
    show(f"the package on {suite}", [f"{deb.stat().st_size / 1e6:.1f} MB, {size} MiB of environment"])

    restore(debian)
    debian.install(next_deb)
    assert debian.run("dpkg-query", "--show", "--showformat", "${Version}", "ogagent") == f"1:{NEXT}-1"
    assert len(list((debian.root / VENV.lstrip("/")).glob("venv-*"))) == 1
    restore(debian)

    debian.run("dpkg", "--remove", "ogagent")
    assert configuration.exists()
    assert not (debian.root / "opt/ogagent").exists()
    debian.run("dpkg", "--purge", "ogagent")
    assert debian.files() - before == set()


def restore(debian: System) -> None:
    """An image of a whole partition, onto a file."""
    model = debian.root / "root/model"
    with model.open("wb") as opened:
        opened.truncate(4 << 20)
    run("mke2fs", "-q", "-t", "ext4", model)
    with gzip.open(debian.root / "root/image.gz", "wb", compresslevel=1) as image:
        image.write(model.read_bytes())
    target = debian.root / "root/target"
    target.write_bytes(bytes(4 << 20))
    debian.run("ogagent", "restore", "--yes", "/root/image.gz", "/root/target")
    assert target.read_bytes() == model.read_bytes()


def test_what_it_says_of_the_machine(debian: System, deb: Path) -> None:
    debian.install(deb)
    said = debian.run("sh", "-c", "ogagent check --json; test $? = 1")
    found = {each["what"]: each for each in json.loads(said)}
    assert found["fdisk"]["state"] == found["openat2"]["state"] == found["mounts"]["state"] == "ok"
    assert found["partclone"]["state"] == "warning"
    assert found["partclone"]["hint"] == "apt install partclone"
    assert found["CACHE"]["state"] == "problem"
    assert "lies in memory" in found["state.dir"]["said"]


def test_an_environment_that_does_not_work_replaces_none(debian: System, deb: Path, next_deb: Path) -> None:
    debian.install(deb)
    working = (debian.root / "opt/ogagent/venv").readlink()
    debian.run("dpkg", "--unpack", debian.bring(next_deb))
    wheels = debian.root / "usr/lib/ogagent/wheels/any"
    (broken,) = wheels.glob("cryptography-*")
    broken.write_bytes(b"no wheel")
    with pytest.raises(ToolFailed, match="not a zip file"):
        debian.run("dpkg", "--configure", "ogagent")
    assert debian.run("ogagent", "--version").startswith("ogagent ")
    assert [path.name for path in (debian.root / "opt/ogagent").glob("venv-*")] == [str(working)]


def test_another_python_gets_an_environment_of_its_own(debian: System, deb: Path, suite: str) -> None:
    """As after an upgrade of the distribution: dpkg calls when /usr/bin/python3 is another."""
    (debian.root / "opt/ogagent/venv/bin").mkdir(parents=True)  # made by hand, before there was a package
    debian.install(deb)
    first = (debian.root / "opt/ogagent/venv").readlink()
    debian.run("/var/lib/dpkg/info/ogagent.postinst", "triggered", "/usr/bin/python3")
    assert (debian.root / "opt/ogagent/venv").readlink() == first
    wheels = debian.root / "opt/ogagent/venv/wheels"
    wheels.write_text(wheels.read_text("utf-8").replace(roots.SUITES[suite], "3.10"), "utf-8")
    debian.run("/var/lib/dpkg/info/ogagent.postinst", "triggered", "/usr/bin/python3")
    assert (debian.root / "opt/ogagent/venv").readlink() != first
    assert debian.run("ogagent", "--version").startswith("ogagent ")


def test_an_environment_that_was_made_by_hand_is_not_taken_from_who_works_in_it(debian: System, deb: Path) -> None:
    """What an agent imports later is still there: its job is not lost."""
    environment = debian.root / "opt/ogagent/venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python3").symlink_to("/usr/bin/python3")
    (environment / "late.py").write_text("print('imported late')", "utf-8")
    job = f"import sys; sys.path.append('{VENV}/venv'); print('works', flush=True); sys.stdin.read(); import late"
    command = ["chroot", str(debian.root), f"{VENV}/venv/bin/python3", "-c", job]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"works\n"
        with pytest.raises(ToolFailed, match="was made by hand, and is in use"):
            debian.install(deb)
        assert agent.communicate()[0] == b"imported late\n"
    debian.run("dpkg", "--configure", "ogagent")
    assert debian.run("ogagent", "--version").startswith("ogagent ")


def test_peers_come_and_go_with_a_package_of_their_own(debian: System, deb: Path, p2p_deb: Path) -> None:
    tries = [
        "/opt/ogagent/venv/bin/python3",
        "-I",
        "-c",
        "import libtorrent, ogagent.crowd.peer; print(libtorrent.__version__)",
    ]
    debian.install(deb)
    with pytest.raises(ToolFailed, match="No module named 'libtorrent'"):
        debian.run(*tries)
    debian.install(p2p_deb)
    assert debian.run(*tries).startswith("2.")
    assert libraries(debian) - depends(debian, "ogagent") == set()
    debian.run("dpkg", "--purge", "ogagent-p2p")
    with pytest.raises(ToolFailed, match="No module named 'libtorrent'"):
        debian.run(*tries)


def libraries(debian: System) -> set[str]:
    """The packages that what was built for the environment is linked with."""
    venv = debian.root / "opt/ogagent/venv"
    modules = [f"/{file.relative_to(debian.root)}" for file in venv.resolve().rglob("*.so*")]
    assert modules
    names = set(re.findall(r"^\s*(\S+) => /", debian.run("ldd", *modules), re.MULTILINE))
    owners = debian.run("dpkg-query", "--search", *(f"*/{name}" for name in names))
    return {line.partition(":")[0] for line in owners.splitlines() if line.rpartition("/")[2] in names}


def depends(debian: System, package: str) -> set[str]:
    said = debian.run("dpkg-query", "--show", "--showformat", "${Depends}", package)
    return {each.split()[0] for each in said.split(",")}


OLD = """[opengnsys]
address=192.168.2.20
port=8001
path=test_modules/server,more_modules/server
remote=https://192.168.2.10/opengnsys/rest
log=DEBUG
"""


def test_the_agent_before_is_replaced_and_what_it_was_told_stays(debian: System, deb: Path, tmp_path: Path) -> None:
    debian.install(opengnsys(tmp_path, "ogagent"))
    said = debian.install(deb)
    assert "ogcore.url = https://192.168.2.10" in said
    assert "not taken over: path = test_modules/server,more_modules/server: there are no modules to load" in said
    assert not (debian.root / "usr/share/OGAgent").exists()
    told = tomllib.loads((debian.root / "etc/ogagent/ogagent.toml").read_text("utf-8"))
    assert told["server"]["address"] == "192.168.2.20"
    assert told["server"]["port"] == 8001
    assert told["ogcore"]["url"] == "https://192.168.2.10"
    assert told["log"]["level"] == "debug"
    assert sorted(path.name for path in (debian.root / "etc/ogagent").iterdir()) == ["ogagent.toml"]
    # Once: what the administrator has changed since is not asked for again, and stays.
    (debian.root / "etc/ogagent/ogagent.toml").write_text("[server]\nport = 8002\n", "utf-8")
    debian.install(deb)
    assert (debian.root / "etc/ogagent/ogagent.toml").read_text("utf-8") == "[server]\nport = 8002\n"


def test_that_of_an_oglive_goes(debian: System, deb: Path, tmp_path: Path) -> None:
    debian.install(opengnsys(tmp_path, "ogagent-oglive"))
    debian.install(deb)
    assert "installed" not in debian.run("dpkg-query", "--show", "--showformat", "${Status}", "ogagent-oglive").split()
    told = tomllib.loads((debian.root / "etc/ogagent/ogagent.toml").read_text("utf-8"))
    assert told["server"]["port"] == 8001


def opengnsys(folder: Path, name: str) -> Path:
    """The package of OpenGnsys' own agent, as far as it matters here."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    about = f"Package: {name}\nVersion: 1.4.5~pre7-1\nArchitecture: all\nMaintainer: x <x@example.org>\n"
    (tree / "DEBIAN/control").write_text(f"{about}Description: x\n", "utf-8")
    (tree / "usr/share/OGAgent/cfg").mkdir(parents=True)
    (tree / "usr/share/OGAgent/cfg/ogagent.cfg").write_text(OLD, "utf-8")
    run("dpkg-deb", "--build", "--root-owner-group", tree, folder / f"{name}.deb")
    return folder / f"{name}.deb"
