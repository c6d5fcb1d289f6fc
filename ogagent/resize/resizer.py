"""Programs of e2fsprogs, ntfsprogs and GRUB, which say why they fail now here, now there, between the rest."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from pathlib import PurePath
from typing import Final, TypeVar

from ogagent.errors import ToolFailed
from ogagent.system.patience import interruptible
from ogagent.system.process import follow, limited

_MOST: Final = 64 << 10
_BUSY_S: Final = 10.0
_PAUSE_S: Final = 0.1

T = TypeVar("T")


async def resizer(*argv: str, timeout_s: float, good: Collection[int] = (0,), largest: int = 0) -> str:
    """The end of what it printed. ``largest``: see ``limited``.

    Raises ToolMissing, and ToolFailed with its reason.
    """
    name = PurePath(argv[0]).name
    try:
        async with asyncio.timeout(timeout_s):
            done = await follow(limited(largest, *argv), most=_MOST)
    except TimeoutError:
        raise ToolFailed(f"{name} did not end within {timeout_s:g} s") from None
    told = done.output.decode(errors="replace")
    if done.status == -signal.SIGXFSZ:
        raise ToolFailed(f"{name} would overwrite more than there is room to keep")
    if done.status < 0:
        raise ToolFailed(f"{name} was ended by signal {-done.status}")
    if done.status not in good:
        raise ToolFailed(f"{name} failed with status {done.status}: {_reason(name, told)}")
    return told


def _reason(name: str, told: str) -> str:
    lines = [
        line.strip() for line in told.splitlines() if line.strip() and not line.startswith((f"{name} 1.", f"{name} v"))
    ]
    errors = (line for line in lines if line.startswith(("ERROR", f"{name}: error:")))
    return next(errors, lines[0] if lines else "it does not say why")[:200]


async def until_free(device: str) -> None:
    """As ``wait_until_free``. A cancel ends the wait at once."""
    stop = threading.Event()
    await interruptible(None, stop.set, wait_until_free, device, stop.wait)


def wait_until_free(device: str, pause: Callable[[float], object] = time.sleep) -> None:
    """Who looks at each device that was closed holds it for a moment; programs of e2fsprogs do not wait. Blocking:
    between two looks there is a ``pause`` of so many seconds, and none after one that answers true.
    """
    end = time.monotonic() + _BUSY_S
    while time.monotonic() < end:
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as error:
            if error.errno == errno.EBUSY:
                if pause(_PAUSE_S):
                    return
                continue
        return
