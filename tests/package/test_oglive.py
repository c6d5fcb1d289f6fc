"""The package put into the image of an ogLive by ``ogagent oglive add``."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.e2e.agent_process import own_certificate
from tests.machine.tools import missing, run
from tests.package import roots
from tests.package.conftest import required

URL = "https://192.168.2.1"


def add(image: Path, deb: Path, *options: str | Path, start: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """``start``: what the command is begun by."""
    command = [*start, sys.executable, "-m", "ogagent", "oglive", "add", str(image), "--deb", str(deb)]
    return subprocess.run([*command, *map(str, options)], capture_output=True, text=True, check=False)


def packed(tree: Path, image: Path) -> bytes:
    run("mksquashfs", tree, image, "-comp", "lz4", "-b", "262144", "-noappend", "-no-progress")
    return image.read_bytes()


@pytest.fixture
def squashed(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("packages are installed by root")
    if absent := missing("mksquashfs", "unsquashfs"):
        pytest.skip(f"not installed: {', '.join(absent)}")
    return tmp_path / "ogclient.sqfs"


def test_an_oglive_gets_the_agent(squashed: Path, deb: Path, tmp_path: Path) -> None:
    required(roots.recipe("bookworm"))
    before = packed(roots.root("bookworm"), squashed)
    own_certificate(tmp_path, "192.168.2.1")
    ca = tmp_path / "ogcore.pem"
    done = add(squashed, deb, "--ogcore", URL, "--ca", ca)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing is wrong with it" in done.stdout
    assert squashed.with_name("ogclient.sqfs.ant").read_bytes() == before
    digest = hashlib.md5(squashed.read_bytes()).hexdigest()
    assert squashed.with_name("ogclient.sqfs.sum").read_text("utf-8") == f"{digest}\n"
    said = run("unsquashfs", "-stat", squashed)
    assert "Compression lz4\n" in said
    assert "Block size 262144\n" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("ogclient.sqfs", "ogclient.sqfs.ant", "ogclient.sqfs.sum", "ogcore.key", "ogcore.pem")
    ]
    told = tomllib.loads(run("unsquashfs", "-cat", squashed, "etc/ogagent/ogagent.toml"))["ogcore"]
    assert (told["url"], told["ca"]) == (URL, "/etc/ogagent/ogcore.pem")
    assert run("unsquashfs", "-cat", squashed, "etc/ogagent/ogcore.pem") == ca.read_text("utf-8")
    listed = run("unsquashfs", "-lls", squashed)
    assert "/opt/ogagent/venv -> venv-" in listed
    assert deb.name not in listed


def test_an_image_that_lacks_what_is_needed_stays(squashed: Path, deb: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "tmp").mkdir(parents=True)
    before = packed(tree, squashed)
    done = add(squashed, deb)
    assert (done.returncode, "this is no ogLive: it has no /proc (" in done.stderr) == (1, True)
    assert squashed.read_bytes() == before
    for name in ("proc", "dev", "etc", "usr", "var/lib/dpkg"):
        (tree / name).mkdir(parents=True)
    before = packed(tree, squashed)
    done = add(squashed, deb)
    assert done.returncode == 1
    assert "chroot failed with status 127" in done.stderr
    assert squashed.read_bytes() == before
    squashed.write_bytes(b"no image")
    done = add(squashed, deb)
    assert done.returncode == 1
    assert "is no SquashFS" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ogclient.sqfs", "tree"]


def test_what_it_is_told_is_looked_at_first(squashed: Path, deb: Path, tmp_path: Path) -> None:
    squashed.write_bytes(b"")
    assert add(squashed, deb, "--ogcore", "http://192.168.2.1").returncode == 78
    assert "No such file" in add(squashed, Path("/no/such.deb")).stderr
    assert f"{squashed} is no package (--deb names" in add(squashed, squashed).stderr


def test_a_private_key_is_brought_to_nobody(squashed: Path, deb: Path, tmp_path: Path) -> None:
    """It lies beside the certificate, and every PC of the room can read the image."""
    squashed.write_bytes(b"")
    own_certificate(tmp_path, "192.168.2.1")
    both, key = tmp_path / "both.pem", tmp_path / "ogcore.key"
    both.write_bytes((tmp_path / "ogcore.pem").read_bytes() + key.read_bytes())
    for file in (key, both):
        done = add(squashed, deb, "--ogcore", URL, "--ca", file)
        assert (done.returncode, f"--ca: {file} holds a private key (" in done.stderr) == (78, True)
    (tmp_path / "none.pem").write_text("no certificate\n")
    assert add(squashed, deb, "--ca", tmp_path / "none.pem").returncode == 78


# --- without root -------------------------------------------------------------------------------------------------

SOMEBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Without any right of root's, but to what belongs to root, as these tests do."""
ODD = "srv/with a space \\ and more"


def listed(image: Path) -> dict[str, str]:
    """All but the times, by name."""
    said = subprocess.run(["unsquashfs", "-no-progress", "-pf", "/dev/stdout", image], capture_output=True, check=True)
    head = said.stdout.partition(b"# START OF DATA")[0].decode()
    lines = (re.fullmatch(r"((?:\\.|[^ \\])+) ([DRSICB]) \d+ (\d+ \d+ \d+)(.*)", line) for line in head.splitlines())
    return {found[1]: f"{found[2]} {found[3]}{found[4] if found[2] in 'CBSI' else ''}" for found in lines if found}


def of_strangers(folder: Path) -> Path:
    """A root with what only root can make: other owners, devices, bits and capabilities."""
    tree = folder / "strangers"
    run("cp", "--archive", roots.root("bookworm"), tree)
    odd = tree / ODD
    odd.mkdir()
    (odd / "file").write_text("x", "utf-8")
    (odd / "capable").write_bytes(b"x")
    (odd / "capable").chmod(0o755)
    os.setxattr(odd / "capable", "security.capability", CAPABLE)
    os.setxattr(odd / "capable", "user.remark", b"kept")
    (odd / "link").symlink_to("file")
    os.mkfifo(odd / "fifo")
    os.mknod(odd / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 99))
    for path, owner, mode in ((odd / "file", 1000, 0o4755), (odd / "fifo", 7, 0o620), (odd, 1001, 0o1777)):
        os.chown(path, owner, owner + 1)
        path.chmod(mode)
    os.lchown(odd / "link", 5, 6)
    return tree


CAPABLE = bytes.fromhex("0100000200200000000000000000000000000000")
"""Of file capabilities(7), revision 2: cap_net_raw, permitted and effective."""


def test_somebody_who_is_not_root_adds_it_and_owners_modes_and_devices_stay(
    squashed: Path, deb: Path, tmp_path: Path
) -> None:
    required(roots.recipe("bookworm"))
    packed(of_strangers(tmp_path), squashed)
    before = listed(squashed)
    done = add(squashed, deb, "--ogcore", URL, start=SOMEBODY)
    assert (done.returncode, done.stderr) == (0, "")
    after = listed(squashed)
    assert {name: after.get(name) for name in before} == before
    assert {tuple(line.split()[2:4]) for name, line in after.items() if name not in before} == {("0", "0")}
    assert after["etc/ogagent/ogagent.toml"].split()[1] == "600"
    run("unsquashfs", "-no-progress", "-dest", tmp_path / "again", squashed)
    odd = tmp_path / "again" / ODD
    assert os.getxattr(odd / "capable", "security.capability") == CAPABLE
    assert os.getxattr(odd / "capable", "user.remark") == b"kept"
    assert "the image has extended attributes: squashfs-tools before 4.6" in done.stdout


def test_where_the_kernel_lets_nobody_that_is_said(squashed: Path, deb: Path) -> None:
    packed(squashed.parent, squashed)
    before = squashed.read_bytes()
    one = 'echo 1 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = add(squashed, deb, start=("unshare", "--user", "--map-root-user", "sh", "-c", one, "-", *SOMEBODY))
    assert done.returncode == 1
    assert "this kernel lets only root make user namespaces: unshare failed" in done.stderr
    assert squashed.read_bytes() == before


# --- a tree, and keys ---------------------------------------------------------------------------------------------


def test_a_tree_gets_the_agent(squashed: Path, deb: Path, tmp_path: Path) -> None:
    required(roots.recipe("bookworm"))
    tree = of_strangers(tmp_path)
    certificate, key = tmp_path / "ogcore.pem", tmp_path / "ogcore.key"
    own_certificate(tmp_path, "127.0.0.1")
    options = ("--dir", tree, "--certificate", certificate, "--key", key)
    command = [sys.executable, "-m", "ogagent", "oglive", "add", "--deb", str(deb), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = tomllib.loads((tree / "etc/ogagent/ogagent.toml").read_text("utf-8"))["server"]
    assert (told["certificate"], told["key"]) == ("/etc/ogagent/agent.pem", "/etc/ogagent/agent.key")
    assert (tree / "etc/ogagent/agent.key").read_bytes() == key.read_bytes()
    assert (tree / "etc/ogagent/agent.key").stat().st_mode & 0o777 == 0o600
    assert (tree / ODD / "file").stat().st_uid == 1000
    assert not (tree.with_name("strangers.ant") / "etc/ogagent").exists()
    assert run("chroot", tree, "ogagent", "--version").startswith("ogagent ")


def test_what_cannot_be_replaced_stays(squashed: Path, deb: Path, tmp_path: Path) -> None:
    squashed.write_bytes(b"")

    def said(tree: Path, start: tuple[str, ...] = ()) -> str:
        command = [*start, sys.executable, "-m", "ogagent", "oglive", "add", "--deb", str(deb), "--dir", str(tree)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    assert "is a mount point" in said(Path("/proc"))
    assert "is no directory" in said(squashed)
    assert "only root can keep the owners" in said(tmp_path, SOMEBODY)


def test_a_key_needs_its_certificate(squashed: Path, deb: Path, tmp_path: Path) -> None:
    squashed.write_bytes(b"")
    own_certificate(tmp_path, "127.0.0.1")
    done = add(squashed, deb, "--key", tmp_path / "ogcore.key")
    assert (done.returncode, "--certificate and --key belong together" in done.stderr) == (78, True)
    done = add(squashed, deb, "--key", tmp_path / "ogcore.key", "--certificate", tmp_path / "ogcore.key")
    assert (done.returncode, "cannot be used" in done.stderr) == (78, True)
