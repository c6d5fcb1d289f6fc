"""A program that dies, or waits, at one of its writes: ``PATH`` has a folder before all others in which its name stands
for this file, run with the program below it. Only calls that change a file or a disk count, not what it prints.

::

    at       the number of the write, 1 for the first; the program goes on when there are fewer
    then     ``die``: killed before the write, with all that it has; ``wait``: until there is a file ``go``
    reached  is there as soon as it waits, or has died
    count    a line for each time that it ended by itself: its writes
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import struct
import sys
import time
from pathlib import Path
from shlex import quote
from typing import Final

_TRACEME, _SYSCALL, _SETOPTIONS, _SYSCALL_INFO = 0, 24, 0x4200, 0x420E  # linux/ptrace.h
_SYSGOOD, _EXITKILL = 1, 0x100000
_ENTRY: Final = 1
# write, pwrite64, fsync, fallocate, ftruncate
_WRITES: Final = {"x86_64": (1, 18, 74, 285, 77), "aarch64": (64, 68, 82, 47, 46)}
_WAIT_S: Final = 300


class Fault:
    """Of ``program``, for whoever has ``folder`` first in its ``PATH``."""

    def __init__(self, folder: Path, program: str) -> None:
        self.real = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""
        self.folder = folder
        folder.mkdir(exist_ok=True)
        script = folder / program
        command = " ".join(quote(str(each)) for each in (sys.executable, __file__, folder, self.real))
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)

    def plan(self, at: int, then: str = "die") -> None:
        for name in ("reached", "go", "count"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "at").write_text(str(at))
        (self.folder / "then").write_text(then)

    @property
    def reached(self) -> bool:
        return (self.folder / "reached").exists()

    @property
    def count(self) -> int:
        return max(map(int, (self.folder / "count").read_text().split()))

    def go(self) -> None:
        (self.folder / "go").touch()


def spread(count: int, points: int) -> list[int]:
    """The first and the last writes, and others between, evenly."""
    between = range(1, count + 1, max(1, count // points))
    return sorted({1, 2, 3, *between, *range(max(1, count - 4), count + 1)})


def _trace(folder: Path, argv: list[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    child = os.fork()
    if not child:
        libc.ptrace(_TRACEME, 0, None, None)
        os.execv(argv[0], argv)
    os.waitpid(child, 0)
    libc.ptrace(_SETOPTIONS, child, None, _SYSGOOD | _EXITKILL)
    at, then, writes = int((folder / "at").read_text()), (folder / "then").read_text(), 0
    passed = 0
    while True:
        libc.ptrace(_SYSCALL, child, None, passed)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            with (folder / "count").open("a") as counts:
                counts.write(f"{writes}\n")
            return os.waitstatus_to_exitcode(status) & 0xFF
        stopped = os.WSTOPSIG(status)
        passed = 0 if stopped == signal.SIGTRAP | 0x80 else stopped
        if stopped != signal.SIGTRAP | 0x80:
            continue
        info = ctypes.create_string_buffer(88)
        libc.ptrace(_SYSCALL_INFO, child, ctypes.c_void_p(len(info)), info)
        kind, call, first = info.raw[0], *struct.unpack_from("<QQ", info.raw, 24)
        if kind != _ENTRY or call not in _WRITES[platform.machine()] or first <= 2:
            continue
        writes += 1
        if writes == at:
            (folder / "reached").touch()
            if then == "die":
                os.kill(os.getpid(), signal.SIGKILL)  # and the child with it
            _wait(folder / "go")


def _wait(go: Path) -> None:
    end = time.monotonic() + _WAIT_S
    while not go.exists() and time.monotonic() < end:
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(_trace(Path(sys.argv[1]), sys.argv[2:]))
