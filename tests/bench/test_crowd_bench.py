"""The measurement of rooms, on an image so small that its seconds mean nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ogagent.model.job import ByteCounts, Job, State
from simulator.bench.crowd.command import Result, Wishes, bench_crowd
from simulator.bench.crowd.images import OLD, make_images
from simulator.bench.crowd.pc import Pc
from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.switch import Host

MIB = 1 << 20
SIZE = 16 * MIB
MBIT = 40
PATIENCE_S = 300

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root"),
    pytest.mark.xdist_group("bench"),
]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert left_behind(os.getpid()) == ([], [])


def left_behind(pid: int) -> tuple[list[str], list[str]]:
    """Namespaces of the benchmark that runs in this process, and command lines of what it has started there."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    mark = f"ogsim-{pid}-"
    commands = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(each.read_text("utf-8", errors="replace"))
        except OSError:
            continue
    return [name for name in names if name.startswith(mark)], [text for text in commands if mark in text]


def test_a_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That the disks equal the image is proven by the benchmark itself."""
    wishes = Wishes(
        size=SIZE, mbit=MBIT, clients=(2,), methods=("udpcast", "p2p"), troubles=("none",), plain=True,
        json=tmp_path / "figures.json",
    )  # fmt: skip
    bench_crowd(wishes)
    result = msgspec.json.decode((tmp_path / "figures.json").read_bytes(), type=Result)
    rows = {row.case.method: row for row in result.rows}
    assert [row.case.name for row in result.rows] == ["unicast, 1", "udpcast, 2", "p2p, 2"]
    assert [len(row.seconds) for row in result.rows] == [1, 2, 2]
    assert all(row.seconds == sorted(row.seconds) and row.odd_s is None for row in result.rows)
    assert all((row.failed, row.left) == (0, {}) for row in result.rows)
    assert rows["unicast"].ranges[0] >= result.image * 0.99
    assert result.image < rows["unicast"].sent < result.image * 1.2
    for method in ("udpcast", "p2p"):
        assert max(rows[method].ranges) < result.image // 20
        assert result.image < rows[method].sent < 2 * result.image * 1.1
        assert rows[method].engine_rss > MIB
    assert all(row.agent_rss > 10 * MIB for row in result.rows)
    printed = capsys.readouterr().out
    assert all(f"\n| {row.case.name} |" in printed for row in result.rows)


def test_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator", "bench", "crowd", "--quick", "--only", "p2p"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + PATIENCE_S
        while not left_behind(process.pid)[1]:
            assert time.monotonic() < give_up
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert left_behind(process.pid) == ([], [])


def test_without_root() -> None:
    command = ["unshare", "--user", "--", sys.executable, "-m", "simulator", "bench", "crowd"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ogsim: only root may make network namespaces (run it with sudo)\n"


def test_a_disk_that_is_not_what_the_job_says(tmp_path: Path) -> None:
    images = make_images(tmp_path, SIZE)
    pc = Pc(Host(1), tmp_path / "pc", SIZE, Authority(tmp_path / "ca"))
    pc.prove(images.content(OLD))  # it says nothing
    pc.job = Job(
        job_id="1", function="", state=State.SUCCEEDED, phase=None, progress=100, bytes=ByteCounts(), rate=0, eta_s=0,
        retries=0, request={}, target=None, created="",
    )  # fmt: skip
    with pytest.raises(LabError, match="does not hold the image"):
        pc.prove(images.content(OLD))
    with pc.disk.open("r+b") as disk:
        disk.seek(MIB)
        disk.write(images.plain.read_bytes())
    pc.prove(images.content(OLD))
