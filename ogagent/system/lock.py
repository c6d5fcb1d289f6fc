"""One agent at a time in a state directory."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ogagent.errors import SettingsError

_FILE_NAME: Final = "lock"
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
            hint="stop that one first (systemctl stop ogagent), or give this one a state.dir and a port of its own",
        ) from None
    except OSError as error:
        raise _failure(state_dir, error) from error


def _holder(fd: int) -> str:
    """Empty when what stands there is not, or no longer, true: it is written after the lock was taken."""
    found = _HOLDER.fullmatch(os.pread(fd, 100, 0).decode(errors="replace"))
    if found is None or not Path(f"/proc/{found[1]}").exists():
        return ""
    return f": process {found[1]}, since {found[2]}"


def _failure(state_dir: Path, error: OSError) -> SettingsError:
    return SettingsError(f"state.dir {state_dir} cannot be used: {error.strerror}", hint="see state.dir")
