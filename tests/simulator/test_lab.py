"""``ogsim lab`` as a person runs it; its pages are looked at in tests/console."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.strange import strangely

pytestmark = pytest.mark.xdist_group("room")

Start = Callable[[list[str]], list[str]]
PORT = 8083


@contextmanager
def lab(scratch: Path, *arguments: str, started: Start = list) -> Iterator[subprocess.Popen[str]]:
    command = started([sys.executable, "-m", "simulator", "lab", "--clients", "2", "--port", str(PORT), *arguments])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def left_behind(scratch: Path) -> list[object]:
    processes = [each for each in psutil.process_iter(["cmdline"]) if str(scratch) in str(each.info["cmdline"])]
    return [*processes, *scratch.iterdir()]


@pytest.mark.parametrize(
    ("number", "lines", "started"),
    [
        (signal.SIGINT, 1, list),
        (signal.SIGINT, 3, list),
        (signal.SIGTERM, 1, list),
        (signal.SIGTERM, 3, list),
        (signal.SIGHUP, 1, list),
        (signal.SIGHUP, 3, list),
        (signal.SIGINT, 3, strangely),
    ],
)
def test_it_ends_in_order_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, lines: int, started: Start
) -> None:
    with lab(tmp_path, "--fault", "pc1:link=5", started=started) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(lines))
        assert f"http://127.0.0.1:{PORT}/" in said
        assert lines == 1 or "2 clients" in said
        process.send_signal(number)
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "pc9:cable"], "faults are of: ogcore, repository, modelo, pc1"),
        (["--fault", "pc1:link=fast"], "link=2"),
        (["--fault", "ogcore:flip"], "ogcore has: stopped"),
        (["--fault", "pc1:melt"], "disk has no fault 'melt'"),
        (["--profile", "absent.json"], "absent.json cannot be read"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    with lab(tmp_path, *arguments) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert said in err
    assert len(err.splitlines()) == 1
    assert left_behind(tmp_path) == []


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", PORT)), lab(tmp_path) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"port {PORT}" in err
    assert left_behind(tmp_path) == []


def test_a_server_that_dies_ends_the_lab_and_leaves_its_logs(tmp_path: Path) -> None:
    with lab(tmp_path) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        (ogcore,) = [each for each in psutil.process_iter(["cmdline"]) if is_ogcore(each, tmp_path)]
        ogcore.kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "ogcore ended with status -9" in err
    (logs,) = tmp_path.iterdir()
    assert str(logs) in err
    assert (logs / "pc1.log").exists()


def is_ogcore(process: psutil.Process, scratch: Path) -> bool:
    line = process.info["cmdline"] or []
    return "ogcore" in line and str(scratch) in str(line)
