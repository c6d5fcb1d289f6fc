"""``ogagent finish``: the same by hand, on a loop device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ogagent.model.units import MIB
from tests.devices.conftest import LoopDisk, unmount
from tests.devices.test_finishing import GPT, Target

Tool = Any


@pytest.fixture
def target(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> Target:
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    target.fill()
    return target


def finish(target: Target, *options: str, device: str = "") -> subprocess.CompletedProcess[str]:
    config = target.folder / "ogagent.toml"
    state = target.folder / "state"
    config.write_text(f'[disks]\ninclude = ["{target.device}"]\n[finish]\nboot = false\n[state]\ndir = "{state}"\n')
    command = [sys.executable, "-m", "ogagent", "finish", device or target.node, "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def sectors(target: Target) -> bytes:
    return Path(target.node).read_bytes()


def test_what_would_be_done_and_then_it_is(target: Target, tool: Tool) -> None:
    before = sectors(target)
    done = finish(target, "--dry-run", "--hostname", "pc9")
    assert done.returncode == 0, done.stderr
    assert "would do grow: the file system fills its 200.0 MiB\n" in done.stdout
    assert "would do host name: it is called pc9\n" in done.stdout
    assert sectors(target) == before
    done = finish(target, "--json", "--hostname", "pc9")
    assert done.returncode == 0, done.stderr
    assert {step["state"] for step in json.loads(done.stdout)} == {"done"}
    assert f"{target.node} is ready." in done.stderr
    assert tool("debugfs", "-R", "cat /etc/hostname", target.node) == "pc9\n"
    done = finish(target, "--dry-run", "--hostname", "pc9")
    assert "is so already host name: it is called pc9\n" in done.stdout


def test_what_must_not_be_touched(target: Target, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "busy").mkdir()
    tool("mount", target.node, tmp_path / "busy")
    try:
        done = finish(target)
    finally:
        unmount(tmp_path / "busy")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is in use" in done.stderr
    for device, words in ((f"{target.device}p9", "is no partition"), (f"{target.device}p4", "EFI system partition")):
        done = finish(target, device=device)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert [line for line in done.stderr.splitlines() if line.startswith("ogagent: ")] == done.stderr.splitlines()[
            -1:
        ]
