"""Who comes second is told so; who died holds nothing any more, wherever the state directory lies."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import NotRetired, SettingsError
from ogagent.system.lock import held_alone, retire
from tests.mounts import unmount

_HOLD: Final = """
import pathlib, sys, time
from ogagent.system.lock import held_alone
with held_alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


@contextmanager
def holder(state_dir: Path, program: str = _HOLD, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds it."""
    command = [sys.executable, "-c", program, str(state_dir), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refusal(state_dir: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught, held_alone(state_dir):
        pass
    return caught.value


def test_the_second_is_told_who_was_first(tmp_path: Path) -> None:
    state_dir = tmp_path / "a" / "state"
    with holder(state_dir) as process:
        error = refusal(state_dir)
        since = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00"
        assert re.fullmatch(
            rf"state\.dir {state_dir} is in use by another ogagent: process {process.pid}, since {since}", error.message
        )
        assert error.hint
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert (state_dir / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "4294967295 2026-11-24T10:00:00+00:00\n", "\x00\xff", "1" * 5000])
def test_what_is_not_true_of_the_first_is_not_told(tmp_path: Path, content: str) -> None:
    with held_alone(tmp_path):
        (tmp_path / "lock").write_text(content)
        assert refusal(tmp_path).message == f"state.dir {tmp_path} is in use by another ogagent"


def test_a_block_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with held_alone(tmp_path):
            refusal(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file").message == f"state.dir {tmp_path / 'file'} cannot be used: File exists"


def test_whoever_it_started_does_not_hold_it(tmp_path: Path) -> None:
    with held_alone(tmp_path):
        child = subprocess.Popen(["sleep", "3600"], close_fds=False)
    try:
        with held_alone(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()


# --- file systems -------------------------------------------------------------------------------------------------


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path]:
    place, file = folder / "mounted", folder / "file"
    place.mkdir()
    if kind == "overlay":  # as the root of an ogLive
        parts = []
        for name in ("lower", "upper", "work"):
            (folder / name).mkdir()
            parts.append(f"{name}dir={folder / name}")
        command = ["mount", "-t", "overlay", "-o", ",".join(parts), "overlay"]
    elif kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "tmpfs"]
    else:
        file.touch()
        os.truncate(file, 320 << 20)
        subprocess.run([f"mkfs.{kind}", str(file)], check=True, capture_output=True)
        command = ["mount", "-o", "loop", str(file)]
    subprocess.run([*command, str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        unmount(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay"])
def test_wherever_it_lies_a_kill_lets_go_of_it(tmp_path: Path, kind: str) -> None:
    if kind in {"ext4", "xfs"} and shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    with mounted(kind, tmp_path) as place, holder(place / "state") as process:
        refusal(place / "state")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with held_alone(place / "state"):
            refusal(place / "state")


_KNOWING: Final = """
import os, pathlib, signal, sys
from ogagent.system.lock import held_alone
ends = sys.argv[2] == "ends"
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75) if ends else os.write(1, b"asked\\n"))
with held_alone(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    while True:
        signal.pause()
"""


def test_nobody_is_asked_to_retire_where_nobody_is(tmp_path: Path) -> None:
    retire(tmp_path / "none", 0, print)
    with held_alone(tmp_path):
        pass
    retire(tmp_path, 0, print)


def test_who_is_there_retires_and_is_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path, _KNOWING, "ends") as process:
        retire(tmp_path, 300, print)
        assert process.wait() == 75


def test_who_still_works_goes_on(tmp_path: Path) -> None:
    said = list[str]()
    with holder(tmp_path, _KNOWING, "works") as process:
        with pytest.raises(NotRetired, match="a job still runs after"):
            retire(tmp_path, 0.1, said.append)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        assert process.poll() is None
    assert said == [f"the agent (process {process.pid}) takes no new job, and ends with its last: waiting up to 0.1 s"]


def test_who_would_be_killed_by_the_signal_is_not_sent_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(NotRetired, match="is from before this could be asked of it"):
            retire(tmp_path, 300, print)
        assert process.poll() is None
