"""One agent at a time in a state directory."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ogagent.errors import NotRetired, SettingsError

_FILE_NAME: Final = "lock"
_MOMENT_S: Final = 2.0
_HOLDER: Final = re.compile(r"([1-9][0-9]{0,9}) (\S{1,40})\n")


@contextmanager
def held_alone(state_dir: Path) -> Iterator[None]:
    """As long as the block lasts, and no longer than this process lives: the kernel lets go when it dies.

    By flock(2), which the kernel itself does for all file systems of this machine, and a server for those that it has
    lent. What stands in the file is only for people. Raises SettingsError when somebody else is there, and says who.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_dir / _FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _failure(state_dir, error) from error
    try:
        _lock(fd, state_dir)
        with suppress(OSError):  # a full disk is no reason not to start
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {datetime.now(UTC).isoformat(timespec='seconds')}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, state_dir: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(
            f"state.dir {state_dir} is in use by another ogagent{_holder(fd)}",
            hint="stop that one first (systemctl stop ogagent): of two agents each would end the other's jobs",
        ) from None
    except OSError as error:
        raise _failure(state_dir, error) from error


def _holder(fd: int) -> str:
    """Empty when what stands there is not, or no longer, true: it is written after the lock was taken."""
    found = _HOLDER.fullmatch(os.pread(fd, 100, 0).decode(errors="replace"))
    if found is None or not Path(f"/proc/{found[1]}").exists():
        return ""
    return f": process {found[1]}, since {found[2]}"


def retire(state_dir: Path, wait_s: float, say: Callable[[str], None]) -> None:
    """Asks who is there, by SIGUSR1, to end when no job runs any more, and waits for that, which is said when it takes
    longer than a moment.

    Raises NotRetired for one that does not know how, which the signal would kill, and for one that still works.
    """
    pid = _there(state_dir)
    if pid is None:
        return
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not _catches(pid, signal.SIGUSR1):
            raise NotRetired(
                f"the agent that runs (process {pid}) is from before this could be asked of it",
                hint="restart it when no job runs: systemctl restart ogagent",
            )
        signal.pidfd_send_signal(process, signal.SIGUSR1)
        ended = select.poll()
        ended.register(process, select.POLLIN)
        moment_s = min(_MOMENT_S, wait_s)
        if ended.poll(moment_s * 1000):
            return
        say(f"the agent (process {pid}) takes no new job, and ends with its last: waiting up to {wait_s:g} s")
        if not ended.poll((wait_s - moment_s) * 1000):
            raise NotRetired(
                f"a job still runs after {wait_s:g} s", hint="the agent takes no other, and ends by itself after it"
            )
    finally:
        os.close(process)


def _there(state_dir: Path) -> int | None:
    try:
        fd = os.open(state_dir / _FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found = _HOLDER.fullmatch(os.pread(fd, 100, 0).decode(errors="replace"))
        return int(found[1]) if found else None
    finally:
        os.close(fd)
    return None


def _catches(pid: int, number: int) -> bool:
    """As proc(5) has it: a bit for each signal, that of the first is the lowest."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace")
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def _failure(state_dir: Path, error: OSError) -> SettingsError:
    return SettingsError(f"state.dir {state_dir} cannot be used: {error.strerror}", hint="see state.dir")
