"""The only module of the simulator that starts processes.

Each runs in a session of its own, with an environment by allow-list, and never outlives the block that started it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from simulator.errors import LabError, ToolFailed, ToolMissing

# The shells of ordinary users do not look into the sbin directories, where the tools for file systems are.
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT: Final = ("HOME", "TMPDIR", "CI")
_PACKAGES: Final = {"sfdisk": "fdisk", "mkfs.vfat": "dosfstools"}
_DEFAULT_PACKAGE: Final = "e2fsprogs"
_GRACE_S: Final = 10.0
_KILL_S: Final = 5.0


def run(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, timeout_s: float = 60.0
) -> tuple[str, str]:
    """Runs a tool to its end and returns what it said, standard output and standard error.

    Raises ToolMissing, or ToolFailed for an exit status other than 0 or when ``timeout_s`` is over.
    """
    tool = str(command[0])
    try:
        process = _start(command, environment or {}, subprocess.PIPE, subprocess.PIPE)
    except FileNotFoundError:
        package = _PACKAGES.get(tool, _DEFAULT_PACKAGE)
        raise ToolMissing(f"{tool} is not installed", hint=f"install the package {package}") from None
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException as error:
            _kill_group(process.pid)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolFailed(f"{tool} did not end within {timeout_s:.0f} seconds") from None
            raise
    said = err.decode(errors="replace")
    if process.returncode != 0:
        reason = (said.strip().splitlines() or out.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        raise ToolFailed(f"{tool} failed with status {process.returncode}: {reason}")
    return out.decode(errors="replace"), said


class Peer:
    """A process of the lab that runs until it is stopped. What it says goes to ``log``."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, grace_s: float) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._grace_s = grace_s

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises LabError, with the last line of the log, when the process has ended by itself."""
        status = self._process.poll()
        if status is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise LabError(f"{self.name} ended with status {status}: {lines[-1]}", hint=f"see {self.log}")

    def stop(self) -> None:
        """SIGTERM to the process, then SIGKILL to all that is left of its group. Returns when it is gone."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            _wait_for_end(self._process.pid, self._grace_s)
            _kill_group(self._process.pid)
            self._process.wait(_KILL_S)


@contextmanager
def peer(name: str, command: Sequence[str | Path], log: Path, *, grace_s: float = _GRACE_S) -> Iterator[Peer]:
    """When it does not end within ``grace_s`` after SIGTERM, it is killed."""
    started: Peer | None = None
    try:
        with log.open("ab") as output, _signals_held():
            started = Peer(name, _start(command, {}, output.fileno(), output.fileno()), log, grace_s)
        yield started
    finally:
        if started is not None:
            started.stop()


@contextmanager
def _signals_held() -> Iterator[None]:
    """A signal that comes while a process starts is answered after it, when somebody knows the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _frame: came.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _start(
    command: Sequence[str | Path], environment: Mapping[str, str], stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={"PATH": _PATH, "LC_ALL": "C.UTF-8", **kept, **environment},
        start_new_session=True,
    )


def _wait_for_end(pid: int, timeout_s: float) -> None:
    """Waits without reaping: until it is reaped, the number of the process cannot become that of another."""
    descriptor = os.pidfd_open(pid)
    try:
        select.select([descriptor], [], [], timeout_s)
    finally:
        os.close(descriptor)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
