"""What is in the package, and that it is always the same."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from ogagent.check import tools
from ogagent.system.packages import PACKAGES
from systemd.packaging import completion, manual
from systemd.packaging.build import P2P, build
from systemd.packaging.commands import commands
from tests.machine.tools import missing, run

ROOT = Path(__file__).parents[2]
ESSENTIAL = {"coreutils", "util-linux"}
"""Of Debian: nothing depends on it, for it is always there."""
LIBRARIES = {"libblkid1", "libc6", "libudev1", "libzstd1", "python3", "python3-venv"}
CALLING = {"run", "piped", "flowing", "beginning", "follow", "resizer", "is_installed"}


def field(deb: Path, name: str) -> set[str]:
    return {each.split()[0] for each in run("dpkg-deb", "--field", deb, name).split(",")}


def test_two_builds_are_the_same(deb: Path, wheels: Path, tmp_path: Path) -> None:
    """With other files' times and other permissions."""
    copied = tmp_path / "wheels"
    for wheel in wheels.rglob("*.whl"):
        copy = copied / wheel.relative_to(wheels)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(wheel.read_bytes())
        copy.chmod(0o600)
    assert build(copied, tmp_path).read_bytes() == deb.read_bytes()


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


def test_lintian_has_nothing_to_say(deb: Path, p2p_deb: Path) -> None:
    if missing("lintian"):
        pytest.skip("lintian is not installed")
    for each in (deb, p2p_deb):
        assert run("lintian", "--allow-root", "--display-info", "--pedantic", "--fail-on", "none", each) == ""


def test_what_it_conflicts_with_and_what_it_follows(deb: Path) -> None:
    assert field(deb, "Conflicts") == field(deb, "Replaces") == {"ogagent-oglive"}
    version = run("dpkg-deb", "--field", deb, "Version").strip()
    run("dpkg", "--compare-versions", version, "gt", "1.4.5~pre7-1")


def test_the_manual_names_every_command_option_and_key() -> None:
    page = manual.of_commands("1", "2026-01-01").replace("\\-", "-")
    assert "%(" not in page
    for command in commands():
        assert f'"ogagent {" ".join(command.words)}"' in page
        assert all(name in page for option in command.options for name in option.option_strings)
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
    ],
)
def test_what_bash_completes(tmp_path: Path, words: str, last: str, expected: set[str]) -> None:
    script = tmp_path / "ogagent.bash"
    script.write_text(completion.script(), "utf-8")
    line = [*words.split(), last]
    asks = (
        f'source {script}; COMP_WORDS=("$@"); COMP_CWORD={len(line) - 1}; _ogagent; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", asks, "-", *line], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert expected <= set(done.stdout.split())
    assert done.stderr == ""
