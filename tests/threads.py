"""What threads of this process are at."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


def at_work_on(function: Callable[..., Any]) -> bool:
    """Whether any is inside ``function`` at this moment."""
    return any(function.__code__ in codes(frame) for frame in sys._current_frames().values())


def codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Whoever opens it waits until this ends, and SIGIO says that somebody does: fcntl(2), F_SETLEASE."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(fd)
