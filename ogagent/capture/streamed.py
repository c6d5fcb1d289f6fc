"""A whole image as partclone writes it, where it cannot be told which blocks it would take."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from ogagent.capture.machine import ModelMachine
from ogagent.capture.request import CapturePlan
from ogagent.errors import ImageError, ModelNotRead
from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import ImageIndex
from ogagent.image.pack import Packing, pack
from ogagent.model.units import MIB
from ogagent.system.process import Piped

_READ: Final = MIB


class WholeStream:
    """Implements ``ogagent.capture.making.Origin``. ``read`` hears how many bytes have been."""

    used: Final = None

    def __init__(self, plan: CapturePlan, models: ModelMachine, read: Callable[[int], None]) -> None:
        self._plan = plan
        self._models = models
        self._read = read
        self._piped: Piped | None = None
        self.read_s = 0.0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[WholeStream]:
        plan = self._plan
        async with self._models.stream(plan.target, "" if plan.whole else plan.filesystem) as self._piped:
            yield self

    def pack(self, name: str, write: Callable[[bytes], object], level: int, threads: int) -> ImageIndex:
        try:
            return pack(name, self._chunks(), write, Packing(None, level, threads, MAX_WINDOW)).index
        except ImageError as error:
            raise ModelNotRead(
                f"what partclone makes of the partition is no image: {error.message}",
                hint="try another version of partclone (partclone.restore -v tells which this is)",
            ) from error

    def stop(self) -> None:
        if self._piped is not None:
            self._piped.kill()

    def _chunks(self) -> Iterator[bytes]:
        if self._piped is None:
            raise AssertionError("it is packed while it is opened")
        while True:
            began = time.monotonic()
            chunk = os.read(self._piped.output, _READ)
            self.read_s += time.monotonic() - began
            if not chunk:
                return
            self._read(len(chunk))
            yield chunk
