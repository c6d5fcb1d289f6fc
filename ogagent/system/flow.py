"""What a program prints for as long as it runs, read as it comes."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from ogagent.system.child import Child

FLOW: Final = 1 << 20
"""Bytes that wait between a program and whoever reads it."""


class Flow:
    """What a program prints, as it comes: whoever reads slowly makes it wait."""

    def __init__(self, child: Child, output: asyncio.StreamReader) -> None:
        self._child = child
        self._output = output

    async def read(self) -> bytes:
        """Some of it; nothing at its end."""
        return await self._output.read(FLOW)

    async def line(self) -> bytes:
        """The next one, with its end; nothing at the end of all. Raises ValueError for one without end."""
        return await self._output.readline()

    def tell(self, words: bytes) -> None:
        """To a program that hears."""
        cast("asyncio.WriteTransport", self._child.transport.get_pipe_transport(0)).write(words)

    async def says(self, words: bytes) -> bool:
        """Waits for these words at the beginning of its stderr. False when it has ended without them."""
        child = self._child
        while words not in child.stderr and not child.ended.is_set():
            child.stderr_grew.clear()
            await child.stderr_grew.wait()
        return words in child.stderr

    async def outcome(self) -> str:
        """Once its output has come to an end. Empty: it has ended well."""
        await self._child.ended.wait()
        return "" if self._child.transport.get_returncode() == 0 else self._child.outcome()
