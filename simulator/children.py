"""Processes that an event loop waits for, as processes.py has those that a thread waits for.

Each dies with the process that started it. What it says is read as it comes, and of that the end is kept.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from simulator.processes import allowed_environment, demand, kill_group

_LINES: Final = 20
_LONGEST_LINE: Final = 500
_PIECE: Final = 4096
_LINE_ENDS: Final = re.compile(r"[\r\n]+")
"""Whoever shows progress ends its lines with a carriage return."""


class Child:
    """``said`` are its last lines, of both outputs, the newest last; ``hear`` gets each as it comes."""

    def __init__(self, process: asyncio.subprocess.Process, hear: Callable[[str], None]) -> None:
        self.said: deque[str] = deque(maxlen=_LINES)
        self._process = process
        self._hear = hear
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Its exit status, once all is heard that it said; negative for the signal that ended it."""
        await asyncio.shield(self._reading)
        return await self._process.wait()

    async def stop(self, number: signal.Signals, grace_s: float) -> int:
        """The signal and, when it takes longer than that, SIGKILL to all of its group. Its exit status: it is gone."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            kill_group(self._process.pid)
            return await self.wait()

    async def _read(self) -> None:
        stream, rest = self._process.stdout, ""
        while stream and (piece := await stream.read(_PIECE)):
            *lines, rest = _LINE_ENDS.split(rest + piece.decode(errors="replace"))
            rest = rest[-_LONGEST_LINE:]
            for line in lines:
                self._heard(line)
        self._heard(rest)

    def _heard(self, line: str) -> None:
        if text := line.strip()[:_LONGEST_LINE]:
            self.said.append(text)
            self._hear(text)


async def start_child(command: Sequence[str | Path], hear: Callable[[str], None]) -> Child:
    """Raises ToolMissing."""
    demand(str(command[0]))
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "--", *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=allowed_environment(),
        start_new_session=True,
    )  # fmt: skip
    return Child(process, hear)
