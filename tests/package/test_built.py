"""What is in the package, and that it is always the same."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import simulator
from ogagent import __version__
from ogagent.check import tools
from ogagent.system.packages import PACKAGES
from systemd.packaging import completion, manual
from systemd.packaging.build import build
from systemd.packaging.commands import commands
from systemd.packaging.programs import PROGRAMS, Program
from systemd.packaging.wheels import LOCKS, P2P, SIM
from tests.machine.tools import missing, run
from tests.package.conftest import Package

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ESSENTIAL = {"coreutils", "util-linux"}
"""Of Debian: nothing depends on it, for it is always there."""
LIBRARIES = {*("libblkid1", "libc6", "libgcc-s1", "libstdc++6", "libudev1", "libzstd1"), "python3", "python3-venv"}
CALLING = {"run", "piped", "flowing", "beginning", "follow", "resizer", "is_installed"}


def field(deb: Path, name: str) -> set[str]:
    return {each.split()[0] for each in run("dpkg-deb", "--field", deb, name).split(",")}


def test_two_builds_are_the_same(package: Package, wheels: Path, tmp_path: Path) -> None:
    """With other files' times and other permissions."""
    copied = tmp_path / "wheels"
    for wheel in wheels.rglob("*.whl"):
        copy = copied / wheel.relative_to(wheels)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(wheel.read_bytes())
        copy.chmod(0o600)
    for name in LOCKS:
        assert build(copied, tmp_path, name=name).read_bytes() == package(name).read_bytes()


def test_depends_and_recommends_what_the_code_can_call(deb: Path) -> None:
    called = {name for packages in PACKAGES.values() for name in packages.split()} | {"partclone"}
    depends, recommends = field(deb, "Depends"), field(deb, "Recommends")
    assert depends == LIBRARIES | (tools.NEEDED - ESSENTIAL)
    assert recommends == called - tools.NEEDED - tools.BY_HAND
    assert field(deb, "Suggests") == (tools.BY_HAND - ESSENTIAL) | {P2P}
    assert {name for packages in tools.PURPOSES for name in packages.split()} == called - tools.BY_HAND


def test_the_list_of_programs_is_the_code_s() -> None:
    called = set[str]()
    words = set[str]()
    for file in (ROOT / "ogagent").rglob("*.py"):
        if file.name == "packages.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            if isinstance(node, ast.Call) and node.args and name_of(node.func) in CALLING:
                called |= program(node.args[0])
    assert {"sfdisk", "losetup", "e2fsck", "resize.f2fs", "systemctl", "ntfsresize"} <= called
    assert called - {"dpkg-query"} <= PACKAGES.keys()
    assert PACKAGES.keys() <= words, "a program that nobody calls"


def name_of(called: ast.expr) -> str:
    return getattr(called, "attr", "") or getattr(called, "id", "")


def program(argument: ast.expr) -> set[str]:
    """When it is written where it is called."""
    first = argument.elts[0] if isinstance(argument, ast.List | ast.Tuple) and argument.elts else argument
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("-"):
        return {first.value}
    return set()


@pytest.mark.parametrize("name", LOCKS)
def test_lintian_has_nothing_to_say(package: Package, name: str) -> None:
    if missing("lintian"):
        pytest.skip("lintian is not installed")
    assert run("lintian", "--allow-root", "--display-info", "--pedantic", "--fail-on", "none", package(name)) == ""


def test_no_two_packages_have_the_same_file(package: Package) -> None:
    seen = set[str]()
    for name in LOCKS:
        listed = run("dpkg-deb", "--contents", package(name)).splitlines()
        files = {line.split()[5] for line in listed if not line.startswith("d")}
        assert not files & seen
        seen |= files


def test_the_simulator_is_for_the_agent_of_its_version(package: Package) -> None:
    assert run("dpkg-deb", "--field", package(SIM), "Depends").strip() == f"ogagent (= 1:{__version__}-1)"


def test_all_that_the_project_says_it_needs_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = re.findall(r"^([a-z0-9-]+)==", "".join(file.read_text("utf-8") for file in LOCKS.values()), re.MULTILINE)
    extras = project["optional-dependencies"]
    said = map(Requirement, [*project["dependencies"], *extras["p2p"], *extras["sim"]])
    assert {canonicalize_name(each.name) for each in said} <= set(locked)
    assert len(locked) == len(set(locked))


def test_one_version_everywhere(package: Package) -> None:
    assert simulator.__version__ == __version__
    assert metadata.version("ogagent") == __version__, "pyproject.toml; install the project anew"
    newest = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == __version__
    for name in LOCKS:
        assert run("dpkg-deb", "--field", package(name), "Version").strip() == f"1:{__version__}-1"
    named = set(re.findall(r"\b(?:ogagent|ogagent-p2p|ogsim)_([0-9][^_-]*)-1_amd64\.deb", README))
    assert named == {__version__}


def test_what_it_conflicts_with_and_what_it_follows(deb: Path) -> None:
    assert field(deb, "Conflicts") == field(deb, "Replaces") == {"ogagent-oglive"}
    version = run("dpkg-deb", "--field", deb, "Version").strip()
    run("dpkg", "--compare-versions", version, "gt", "1.4.5~pre7-1")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_manual_names_every_command_and_option(program: Program) -> None:
    page = manual.of_program(program, "1", "2026-01-01").replace("\\-", "-")
    assert "%(" not in page
    for command in commands(program.parser()):
        assert f'"{program.name} {" ".join(command.words)}"' in page
        assert all(name in page for option in command.options for name in option.option_strings)


def test_the_manual_names_every_key() -> None:
    text = (ROOT / "systemd/ogagent.toml").read_text("utf-8")
    keys = re.findall(r"^([a-z_.]+) = ", text, re.MULTILINE)
    page = manual.of_settings("1", "2026-01-01")
    assert len(keys) > 40
    assert re.findall(r"^\\fB([a-z_.]+)\\fR = ", page, re.MULTILINE) == keys


@pytest.mark.parametrize(
    ("words", "last", "expected"),
    [
        ("ogagent", "re", {"restore", "retire"}),
        ("ogagent image", "", {"info", "verify", "index", "diff"}),
        ("ogagent config", "--im", {"--import"}),
        ("ogagent image verify", "--k", {"--key"}),
        ("ogsim", "", {"demo", "lab", "repository", "ogcore", "bench"}),
        ("ogsim bench", "re", {"restore", "redeploy"}),
        ("ogsim lab", "--cl", {"--clients"}),
    ],
)
def test_what_bash_completes(tmp_path: Path, words: str, last: str, expected: set[str]) -> None:
    line = [*words.split(), last]
    script = tmp_path / f"{line[0]}.bash"
    script.write_text(completion.script(PROGRAMS[line[0]]), "utf-8")
    prints = 'printf "%s\\n" "${COMPREPLY[@]}"'
    asks = f'source {script}; COMP_WORDS=("$@"); COMP_CWORD={len(line) - 1}; _{line[0]}; {prints}'
    done = subprocess.run(["bash", "-c", asks, "-", *line], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert expected <= set(done.stdout.split())
    assert done.stderr == ""
