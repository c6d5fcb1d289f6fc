"""``ogsim demo`` as a person runs it."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from simulator.http_client import Place
from simulator.lab.hosts import CLIENTS, OGCORE, REPOSITORY
from tests.strange import strangely

pytestmark = pytest.mark.xdist_group("room")

Start = Callable[[list[str]], list[str]]

STEPS = [
    "modelo has a small Ubuntu",
    "repository and ogCore are up",
    "modelo and pc1 have booted ogLive",
    "ogCore calls modelo: create image-test",
    "has ended",
    "the disk of modelo is as it was",
    "ogCore calls pc1: deploy image-test",
    "has ended",
    "debugfs finds all",
    "the rest of the disk is as it was",
    "linux",
    "linux-session",
]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the demonstration puts what is temporary: no name that a shell or debugfs would take for one word."""
    place = tmp_path / 'a "scratch'
    place.mkdir()
    return place


@contextmanager
def demo(scratch: Path, *arguments: str, started: Start = list) -> Iterator[subprocess.Popen[str]]:
    command = started([sys.executable, "-m", "simulator", "demo", *arguments])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What it says up to a line that holds ``text``."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    pytest.fail(f"it ended without saying {text!r}: {said}\n{process.stderr.read() if process.stderr else ''}")


def processes_of(scratch: Path, *words: str) -> list[psutil.Process]:
    """Those of the room, known by the scratch directory on their command line."""
    found = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [process for process, line in found if str(scratch) in str(line) and all(word in line for word in words)]


def left_behind(scratch: Path) -> list[object]:
    return [*processes_of(scratch), *scratch.iterdir()]


def test_the_whole_story(scratch: Path) -> None:
    with demo(scratch) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    done = [line for line in out.splitlines() if line.startswith("✓")]
    assert len(done) == len(STEPS)
    assert all(step in line for step, line in zip(STEPS, done, strict=True)), out
    assert re.search(r"create-image +modelo +image-test +1/2 +success +Successfully created", out)
    assert re.search(r"deploy-image +pc1 +image-test +1/2 +success +Completed successfully", out)
    assert 'curl -k -X POST --data \'{"dsk":"1", "par":"2", "cpt":"83"' in out
    assert left_behind(scratch) == []


def test_the_printed_call_can_be_pasted(scratch: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with demo(scratch, "--keep") as process:
        said = read_until(process, "until Ctrl-C")
        (line,) = [line for line in said.splitlines() if line.startswith("curl ")]
        words = shlex.split(line)
        answer = subprocess.run([words[0], "-sS", *words[1:]], capture_output=True, text=True, check=True)
        assert re.fullmatch(r'\{"job_id": ?"RestaurarImagen-[0-9a-f]{8}"\}\s*', answer.stdout)
        (header,) = [word for word in words if word.startswith("@")]
        secret = Path(header[1:]).read_text().split()[1]
        assert secret not in said
        assert Path(header[1:]).stat().st_mode & 0o777 == 0o600
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
    assert left_behind(scratch) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [0, 2, 4])
def test_interrupted_anywhere_it_leaves_nothing(scratch: Path, number: signal.Signals, step: int) -> None:
    with demo(scratch) as process:
        read_until(process, STEPS[step])
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "")
    assert left_behind(scratch) == []


def test_interrupted_it_leaves_nothing_whatever_its_parent_ignores(scratch: Path) -> None:
    """As a job in the background of a shell does, for one."""
    with demo(scratch, started=strangely) as process:
        read_until(process, STEPS[2])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "")
    assert left_behind(scratch) == []


def test_a_failure_names_the_step_the_reason_and_the_logs(scratch: Path) -> None:
    with demo(scratch) as process:
        read_until(process, STEPS[3])
        (agent,) = [each for each in processes_of(scratch, "agent") if "pc1" in each.cmdline()[-1]]
        agent.kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert "has ended: pc1 ended with status -9" in line
    assert processes_of(scratch) == []
    (logs,) = scratch.iterdir()
    assert str(logs) in line
    assert {log.name for log in logs.iterdir()} == {f"{name}.log" for name in ("modelo", "ogcore", "pc1", "repository")}


@pytest.mark.parametrize("taken", [OGCORE, REPOSITORY, CLIENTS["pc1"]])
def test_a_port_that_is_taken_is_named(scratch: Path, taken: Place) -> None:
    with socket.create_server((taken.address, taken.port)), demo(scratch) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"port {taken.port} of {taken.address}" in err
    assert len(err.splitlines()) == 1
    assert left_behind(scratch) == []
