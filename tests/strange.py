"""Programs started by somebody odd: what is inherited and is not as usual."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_START: Final = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.umask(int(sys.argv[1], 8))
for stream in sys.argv[2].split():
    os.close(int(stream))
os.execv(sys.argv[3], sys.argv[3:])
"""


def strangely(command: Sequence[str | Path], *, umask: int = 0, closed: Sequence[int] = ()) -> list[str]:
    """The command, started with all signals ignored and blocked, and some of its three streams closed."""
    streams = " ".join(map(str, closed))
    return [sys.executable, "-c", _START, f"{umask:o}", streams, *map(str, command)]
