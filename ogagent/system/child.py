"""A program that runs: what it prints, and that it has ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

_STDERR_LIMIT: Final = 8192
_GREETINGS: Final = (
    *("Partclone v", "Starting to clone", "Reading Super Block", "Calculating bitmap"),
    *("Udp-receiver", "UDP receiver for", "received message", "Connected as", "Listening to multicast"),
)
"""How lines begin that a program prints in any case, before it complains."""
_STDOUT: Final = 1


class Child(asyncio.SubprocessProtocol):
    """``exited`` is set when the process was reaped, ``ended`` when its outputs are closed too.

    ``stderr_grew`` is set with whatever comes of it, and at the end; whoever waits for it clears it.

    ``mixed``: stderr counts as output, of which the end is kept, however much there was. ``enough``: of its output
    the beginning is wanted, and counts as all of it.
    """

    def __init__(
        self, max_output: int, *, mixed: bool = False, enough: Callable[[bytearray], int] | None = None
    ) -> None:
        self._mixed = mixed
        self._enough = enough
        self.output = bytearray()
        self.stderr = bytearray()
        self.overflowed = False
        self.stderr_grew = asyncio.Event()
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
            self.stderr += data[: _STDERR_LIMIT - len(self.stderr)]
            self.stderr_grew.set()
        elif self._enough is not None:
            self._take(data)
        elif len(self.output) + len(data) <= self._max_output:
            self.output += data
        else:
            self.overflowed = True
            self.signal(signal.SIGKILL)

    def _take(self, data: bytes) -> None:
        if not self.has_enough():
            self.output += data
        if self.has_enough():
            cast("asyncio.ReadTransport", self.transport.get_pipe_transport(_STDOUT)).pause_reading()
            self.ended.set()

    def has_enough(self) -> bool:
        return self._enough is not None and self._enough(self.output) <= len(self.output)

    def process_exited(self) -> None:
        self.exited.set()
        # Whatever it left running in its session would keep the outputs open.
        self.signal(signal.SIGKILL)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self.transport.close()
        self.stderr_grew.set()
        self.ended.set()

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group: the process was made the leader of one."""
        with suppress(ProcessLookupError):
            os.killpg(self.transport.get_pid(), number)

    def outcome(self) -> str:
        """How it has ended, and the first thing that it said of it."""
        status = self.transport.get_returncode()
        if status is not None and status < 0:
            return f"was ended by signal {-status}"
        lines = (line.strip() for line in self.stderr.decode(errors="replace").splitlines())
        said = next((line for line in lines if line and not line.startswith(_GREETINGS)), "")
        return f"failed with status {status}" + (f": {said[:200]}" if said else "")
