"""The only module that starts processes. Everything it starts has ended when the call returns."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import PurePath
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Final, NamedTuple, cast

from ogagent.errors import ToolFailed, ToolMissing

_log = logging.getLogger(__name__)

# From SIGTERM to SIGKILL: a cancelled job has two seconds for everything.
_GRACE_S: Final = 0.5
# After SIGKILL only a process that waits for a dead disk stays, and nobody can end that one.
_KILL_WAIT_S: Final = 1.0
_COMPLAINT_LIMIT: Final = 8192
_STDOUT: Final = 1

_undying: Final = dict[tuple[str, ...], int]()
"""Processes that SIGKILL did not end in time, by their commands: while one is there it is not started once more."""

# Ordinary users, and some boot environments, do not have the sbin directories in their PATH.
_STANDARD_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

_PACKAGES: Final = {
    "blkid": "util-linux",
    "debugfs": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "efibootmgr": "efibootmgr",
    "hivexregedit": "libwin-hivex-perl",
    "kexec": "kexec-tools",
    "losetup": "mount",
    "lzop": "lzop",
    "mke2fs": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.exfat": "exfatprogs",
    "mkfs.f2fs": "f2fs-tools",
    "mkfs.ntfs": "ntfs-3g",
    "mkfs.vfat": "dosfstools",
    "mkfs.xfs": "xfsprogs",
    "mkswap": "util-linux",
    "mount": "mount",
    "ntfs-3g": "ntfs-3g",
    "ntfsresize": "ntfs-3g",
    "partx": "util-linux",
    "resize2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "systemctl": "systemd",
    "umount": "mount",
}


async def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes | None = None,
    max_output: int = 1 << 20,
    good: Collection[int] = (0,),
    grace_s: float = _GRACE_S,
) -> bytes:
    """Standard output of a program that ended with one of the statuses ``good``.

    Raises ToolMissing when the program is not installed; ToolFailed when it cannot be started, ends otherwise, takes
    longer than ``timeout_s`` or prints more than ``max_output`` bytes. Where it shall end early it is asked to, and
    killed when it has not ended ``grace_s`` later.
    """
    name = PurePath(argv[0]).name
    if _is_there(_undying.get(tuple(argv))):
        raise ToolFailed(f"an earlier {name} does not end", hint="look at the kernel log (dmesg)")
    child = await _start(argv, stdin, max_output)
    try:
        async with asyncio.timeout(timeout_s):
            await child.ended.wait()
    except TimeoutError:
        raise ToolFailed(f"{name} did not end within {timeout_s:g} s") from None
    finally:
        await _end(child, grace_s, tuple(argv))
    if child.overflowed:
        raise ToolFailed(f"{name} printed more than {max_output} bytes")
    status = child.transport.get_returncode()
    if status not in good:
        raise ToolFailed(f"{name} {_outcome(status, bytes(child.complaint))}")
    return bytes(child.output)


class Followed(NamedTuple):
    """``status`` is negative for a process that a signal ended; ``output`` the end of what it printed."""

    status: int
    output: bytes


async def follow(argv: Sequence[str], *, most: int) -> Followed:
    """A program that takes as long as it takes, and its last ``most`` bytes of output and complaints, as they came.

    Raises ToolMissing and ToolFailed when it cannot be started.
    """
    child = await _start(argv, None, most, mixed=True)
    try:
        await child.ended.wait()
    finally:
        await _end(child, _GRACE_S, tuple(argv))
    status = child.transport.get_returncode()
    return Followed(-signal.SIGKILL if status is None else status, bytes(child.output))


class _Child(asyncio.SubprocessProtocol):
    """``exited`` is set when the process was reaped, ``ended`` when its outputs are closed too.

    ``mixed``: complaints count as output, of which the end is kept, however much there was.
    """

    def __init__(self, max_output: int, *, mixed: bool = False) -> None:
        self._mixed = mixed
        self.output = bytearray()
        self.complaint = bytearray()
        self.overflowed = False
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()
        self._max_output = max_output

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._mixed:
            self.output += data
            del self.output[: -self._max_output]
        elif fd != _STDOUT:
            self.complaint += data[: _COMPLAINT_LIMIT - len(self.complaint)]
        elif len(self.output) + len(data) <= self._max_output:
            self.output += data
        else:
            self.overflowed = True
            self.signal(signal.SIGKILL)

    def process_exited(self) -> None:
        self.exited.set()
        # Whatever it left running in its session would keep the outputs open.
        self.signal(signal.SIGKILL)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self.transport.close()
        self.ended.set()

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group: the process was made the leader of one."""
        with suppress(ProcessLookupError):
            os.killpg(self.transport.get_pid(), number)


async def _start(argv: Sequence[str], stdin: bytes | None, max_output: int, *, mixed: bool = False) -> _Child:
    try:
        transport, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Child(max_output, mixed=mixed),
            *argv,
            stdin=DEVNULL if stdin is None else PIPE,
            stdout=PIPE,
            stderr=STDOUT if mixed else PIPE,
            env=_environment(),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise _missing(argv[0]) from None
    except OSError as error:
        raise ToolFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
    if stdin is not None:
        pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        pipe.write(stdin)
        pipe.close()
    return child


def is_installed(program: str) -> bool:
    """Whether ``run`` would find it."""
    return shutil.which(program, path=_environment()["PATH"]) is not None


def _environment() -> dict[str, str]:
    inherited = os.environ.get("PATH", "").split(os.pathsep)
    path = [directory for directory in dict.fromkeys((*inherited, *_STANDARD_PATH)) if directory]
    return {"PATH": os.pathsep.join(path), "LC_ALL": "C"}


def _missing(program: str) -> ToolMissing:
    name = PurePath(program).name
    package = "partclone" if name.startswith("partclone.") else _PACKAGES.get(name, "")
    return ToolMissing(f"{name} is not installed", hint=f"apt install {package}" if package else "")


async def _end(child: _Child, grace_s: float, command: tuple[str, ...]) -> None:
    """SIGKILL is sent even when the wait after SIGTERM is cancelled once more."""
    try:
        if not child.exited.is_set():
            child.signal(signal.SIGTERM)
            await _within(grace_s, child.exited)
    finally:
        if not child.exited.is_set():
            child.signal(signal.SIGKILL)
    if not await _within(_KILL_WAIT_S, child.exited):
        _undying[command] = child.transport.get_pid()
        _log.error("process %d does not die", child.transport.get_pid())
    child.transport.close()


def _is_there(pid: int | None) -> bool:
    """Whether the child runs. Nothing is taken from whoever reaps it."""
    try:
        return pid is not None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _outcome(status: int | None, complaint: bytes) -> str:
    """``status`` is negative for a process that a signal ended."""
    lines = complaint.decode(errors="replace").splitlines()
    said = next((line.strip() for line in lines if line.strip()), "")
    if status is not None and status < 0:
        return f"was ended by signal {-status}"
    return f"failed with status {status}" + (f": {said[:200]}" if said else "")
