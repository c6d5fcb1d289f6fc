"""The agent started from the server's share, by the lines that the README has for the ogLive's init script."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.machine.disks import mounted
from tests.machine.network import is_own
from tests.machine.tools import run
from tests.package.system import System
from tests.package.test_upgraded_at_work import PATIENCE_S, SETTINGS, ask

pytestmark = pytest.mark.xdist_group("packaged agent")

README: Final = Path(__file__).parents[2] / "README.md"
SHARE: Final = "opt/opengnsys"


def lines() -> str:
    """The block that has make-venv in it."""
    blocks = re.findall(r"(?:^    .*\n)+", README.read_text("utf-8"), re.MULTILINE)
    (found,) = [block for block in blocks if "/make-venv" in block]
    assert len(found.splitlines()) == 4
    return str(found)


@contextmanager
def share(debian: System, deb: Path, folder: Path) -> Iterator[Path]:
    """The client's tree of a server, as an ogLive has it: it can be read."""
    tree = folder / "client"
    (tree / "cache").mkdir(parents=True)
    run("dpkg-deb", "--extract", deb, tree / "ogagent")
    (tree / "ogagent/etc/ogagent/ogagent.toml").write_text(SETTINGS, "utf-8")
    with mounted(tree, debian.root / SHARE, "--bind"):
        run("mount", "-o", "remount,bind,ro", debian.root / SHARE)
        yield tree


def agents(debian: System) -> list[int]:
    """Those that serve in there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "root").readlink() == debian.root
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if inside and b"serve" in words:
            found.append(int(process.name))
    return found


def until_one_answers(debian: System, but: int = 0) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        there = agents(debian)
        try:
            if there and but not in there and ask("GET", "/healthz")[0] == 200:
                return there[0]
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError((debian.root / "var/log/ogagent.log").read_text("utf-8"))


@contextmanager
def started(debian: System) -> Iterator[subprocess.Popen[bytes]]:
    """The script, and all that it has left running when the block ends."""
    script = ["chroot", str(debian.root), "sh", "-e", "-c", f"{lines()}wait"]
    with subprocess.Popen(script, start_new_session=True) as init:
        try:
            yield init
        finally:
            with suppress(ProcessLookupError):
                os.killpg(init.pid, signal.SIGKILL)


@pytest.mark.skipif(not is_own(), reason="there is no network namespace to be had")
def test_the_lines_start_the_agent_and_start_it_again(debian: System, deb: Path, tmp_path: Path) -> None:
    (debian.root / SHARE).mkdir(parents=True)
    with share(debian, deb, tmp_path) as tree:
        before = sorted(path.relative_to(tree) for path in tree.rglob("*"))
        with started(debian) as init:
            first = until_one_answers(debian)
            os.kill(first, signal.SIGKILL)
            second = until_one_answers(debian, but=first)
            os.kill(second, signal.SIGTERM)
            assert init.wait(PATIENCE_S) == 0, "an agent that was told to end is not started again"
        (tree / "ogagent/etc/ogagent/ogagent.toml").write_text("[nonsense]\n", "utf-8")
        with started(debian) as init:
            assert init.wait(PATIENCE_S) == 0, "a configuration that cannot be used is not tried again"
        assert "nonsense: unknown key" in (debian.root / "var/log/ogagent.log").read_text("utf-8")
        assert sorted(path.relative_to(tree) for path in tree.rglob("*")) == before
