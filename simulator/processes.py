"""The only module of the simulator that starts processes; children.py does for whoever has an event loop.

Each runs in a session of its own, with an environment by allow-list, and never outlives the block that started it.
"""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from simulator.errors import LabError, ToolFailed, ToolMissing
from simulator.signals import signals_held

# The shells of ordinary users do not look into the sbin directories, where the tools for file systems are.
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT: Final = ("HOME", "TMPDIR", "CI")
_PACKAGES: Final = {
    "ip": "iproute2",
    "losetup": "mount",
    "mkfs.ntfs": "ntfs-3g",
    "mkfs.vfat": "dosfstools",
    "nft": "nftables",
    "partclone.extfs": "partclone",
    "partclone.ntfs": "partclone",
    "partclone.restore": "partclone",
    "setpriv": "util-linux",
    "sfdisk": "fdisk",
    "sysctl": "procps",
    "tc": "iproute2",
    "udp-receiver": "udpcast",
    "udp-sender": "udpcast",
    "uftpd": "uftp",
}
_OF_THE_SAME_NAME: Final = ("curl", "lzop", "mbuffer", "mount", "pigz", "uftp", "zstd")
_DEFAULT_PACKAGE: Final = "e2fsprogs"
_GRACE_S: Final = 10.0
_KILL_S: Final = 60.0
_TAIL: Final = 4096


def run(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, timeout_s: float = 60.0
) -> tuple[str, str]:
    """Runs a tool to its end and returns what it said, standard output and standard error.

    Raises ToolMissing, or ToolFailed for an exit status other than 0 or when ``timeout_s`` is over.
    """
    tool = str(command[0])
    with _start(command, environment or {}, subprocess.PIPE, subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException as error:
            kill_group(process.pid)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolFailed(f"{tool} did not end within {timeout_s:.0f} seconds") from None
            raise
    said = err.decode(errors="replace")
    if process.returncode != 0:
        reason = (said.strip().splitlines() or out.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        raise ToolFailed(f"{tool} failed with status {process.returncode}: {reason}")
    return out.decode(errors="replace"), said


class Usage(Struct, frozen=True):
    """What one run of a pipeline took. ``peak_rss`` is in bytes, that of its largest process; a process counts from
    when it was forked, so that none has less than the one that measures.
    """

    wall_s: float
    cpu_s: float
    peak_rss: int
    said: str


def measure(pipeline: Sequence[Sequence[str | Path]], *, stdout: Path | None = None, timeout_s: float = 600.0) -> Usage:
    """Runs programs joined by pipes. ``said`` is the end of the last one's output, unless that goes to ``stdout``.

    Raises ToolMissing, or ToolFailed when one of them fails or ``timeout_s`` is over.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile())
        complaints = stack.enter_context(tempfile.TemporaryFile())
        last = said if stdout is None else stack.enter_context(stdout.open("wb"))
        started: list[subprocess.Popen[bytes]] = []
        for command in pipeline:
            stdin = started[-1].stdout if started else None
            output = last.fileno() if len(started) == len(pipeline) - 1 else subprocess.PIPE
            started.append(stack.enter_context(_start(command, {}, output, complaints.fileno(), stdin)))
            stack.callback(_kill_rest, started)  # before it is waited for
            if stdin is not None:
                stdin.close()
        clock = threading.Timer(timeout_s, _kill_rest, [started])
        stack.callback(clock.cancel)
        clock.start()
        used = [_reap(process) for process in started]
        wall_s = time.monotonic() - began
        failed = [each for each in zip(started, pipeline, strict=True) if each[0].returncode != 0]
        # Who fell silent because nobody listened any more is not the cause.
        for process, command in sorted(failed, key=lambda each: each[0].returncode == -signal.SIGPIPE):
            raise ToolFailed(f"{command[0]} failed with status {process.returncode}: {_end_of(complaints)}")
        cpu_s = sum(each.ru_utime + each.ru_stime for each in used)
        return Usage(wall_s, cpu_s, max(each.ru_maxrss for each in used) << 10, _end_of(said))


def _kill_rest(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.returncode is None:
            kill_group(process.pid)


def _reap(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
    return file.read().decode(errors="replace").strip()


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

    @property
    def status(self) -> int | None:
        """That of its end; None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raises LabError, with the last line of the log, when the process has ended by itself."""
        status = self.status
        if status is not None:
            lines = self.log.read_text("utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
            raise LabError(f"{self.name} ended with status {status}: {lines[-1]}", hint=f"see {self.log}")

    def stop(self) -> None:
        """SIGTERM to the process, then SIGKILL to all that is left of its group. Returns when it is gone."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            _wait_for_end(self._process.pid, self._grace_s)
            kill_group(self._process.pid)
            self._process.wait(_KILL_S)

    def kill(self) -> None:
        """SIGKILL to it and to its group: no last word. Returns when it is gone."""
        if self._process.poll() is None:
            kill_group(self._process.pid)
            self._process.wait(_KILL_S)


@contextmanager
def peer(name: str, command: Sequence[str | Path], log: Path, *, grace_s: float = _GRACE_S) -> Iterator[Peer]:
    """When it does not end within ``grace_s`` after SIGTERM, it is killed."""
    started: Peer | None = None
    try:
        with log.open("ab") as output, signals_held():
            started = Peer(name, _start(command, {}, output.fileno(), output.fileno()), log, grace_s)
        yield started
    finally:
        if started is not None:
            started.stop()


def _start(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    stdin: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**allowed_environment(), **environment},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise _missing(str(command[0])) from None


def allowed_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {"PATH": _PATH, "LC_ALL": "C.UTF-8", **kept}


def demand(tool: str) -> None:
    """Raises ToolMissing."""
    if shutil.which(tool, path=_PATH) is None:
        raise _missing(tool)


def _missing(tool: str) -> ToolMissing:
    package = tool if tool in _OF_THE_SAME_NAME else _PACKAGES.get(tool, _DEFAULT_PACKAGE)
    return ToolMissing(f"{tool} is not installed", hint=f"install the package {package}")


def _wait_for_end(pid: int, timeout_s: float) -> None:
    """Waits without reaping: until it is reaped, the number of the process cannot become that of another."""
    descriptor = os.pidfd_open(pid)
    try:
        select.select([descriptor], [], [], timeout_s)
    finally:
        os.close(descriptor)


def kill_group(pid: int) -> None:
    """SIGKILL to all of it; nothing, when nobody is left."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
