"""Programs that somebody odd has started: signals ignored and blocked, streams closed, a locale that lacks letters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.strange import strangely

FORGET: Final = "from ogagent.system.inherited import forget_inherited; forget_inherited()\n"
OF_THE_AGENT: Final = """
import asyncio
from ogagent.errors import ToolFailed
from ogagent.system import process
def run(*command):
    return asyncio.run(process.run(command, timeout_s=60)).decode()
"""
OF_THE_SIMULATOR: Final = """
from simulator import processes
from simulator.errors import ToolFailed
def run(*command):
    return processes.run(command)[0]
"""
STARTERS: Final = {"the agent": OF_THE_AGENT, "the simulator": OF_THE_SIMULATOR}


def run(script: str, *, closed: tuple[int, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    command = strangely([sys.executable, "-c", FORGET + script], closed=closed)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("starter", STARTERS)
def test_tools_start_with_all_signals_as_they_are_by_default(starter: str) -> None:
    done = run(STARTERS[starter] + "print(run('grep', '-E', '^Sig(Ign|Blk):', '/proc/self/status'))")
    assert (done.returncode, done.stderr) == (0, "")
    masks = dict(line.split(":") for line in done.stdout.split("\n") if line)
    assert {name: int(mask, 16) for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


@pytest.mark.parametrize("starter", STARTERS)
def test_a_tool_that_fails_is_known_to_have_failed(starter: str) -> None:
    """Where SIGCHLD is ignored, the kernel throws away how it ended."""
    done = run(f"{STARTERS[starter]}\ntry:\n    run('false')\nexcept ToolFailed as error:\n    print(error.message)")
    assert "false failed with status 1" in done.stdout
    assert done.stderr == ""


def test_ctrl_c_interrupts() -> None:
    done = run(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt:\n    print('yes')"
    )
    assert (done.stdout, done.stderr) == ("yes\n", "")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_nothing_takes_the_place_of_a_stream_that_is_closed(closed: tuple[int, ...], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    script = f"""
import sys
file = open({str(disk)!r}, "w")
print("hello")
print("hello", file=sys.stderr)
file.write(str(file.fileno()))
"""
    done = run(script, closed=closed)
    assert done.returncode == 0
    assert done.stdout == ("" if 1 in closed else "hello\n")
    assert done.stderr == ("" if 2 in closed else "hello\n")
    assert int(disk.read_text()) > 2


def test_what_a_locale_lacks_is_shown_otherwise() -> None:
    done = run("print('✓ año')", PYTHONIOENCODING="ascii")
    assert (done.stdout, done.stderr) == ("\\u2713 a\\xf1o\n", "")
