"""The machine that the agent runs on, as far as images are made of its partitions."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ogagent.capture.blocks import of_all_blocks
from ogagent.disk.machine import Machine
from ogagent.errors import ModelNotRead, ToolFailed
from ogagent.image.partclone_header import BITMAP_SUM, HEADER_0002, MAGIC, MOST_BLOCKS
from ogagent.model.filesystem import by_blkid
from ogagent.model.plan import Target
from ogagent.model.units import MIB
from ogagent.system import process
from ogagent.system.loop import loop_over
from ogagent.system.patience import in_thread
from ogagent.system.process import Piped

_TOOLS: Final = {"EXTFS": "extfs", "HFS PLUS": "hfsp", "NILFS": "nilfs2", "REISERFS": "reiserfs"}
"""Of partclone's, where they are not called as the file system is."""
_WHOLE: Final = "imager"
_WHOLE_BLOCK: Final = 512
"""Bytes, on any disk; what is left at the end it passes over."""
_VERSION: Final = 30
_TOTAL_BLOCKS: Final = 60
"""Where the header says which it is, and counts them: see ``ogagent.image.partclone_header``."""
_MOST_LINES: Final = 64 * MIB
"""Bytes that stand before the image at most."""
_TIMEOUT_S: Final = 1800.0
"""A file system whose bitmap lies in pieces on a slow disk."""


class RealModels:
    """Implements ``ogagent.capture.machine.ModelMachine``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def place(self, target: Target) -> tuple[str, int]:
        return (target.device, 0) if Path(target.device).exists() else (target.disk_device, target.start)

    async def beginning(self, target: Target, filesystem: str) -> bytes:
        if not _partclone_name(filesystem) and target.size % _WHOLE_BLOCK:
            raise ModelNotRead(
                f"{target.name} has {target.size} bytes, and an image of all of it holds blocks of {_WHOLE_BLOCK}",
                hint=f"make it longer: truncate --size=%{_WHOLE_BLOCK} {target.device}",
            )
        async with self._device(target) as device:
            argv = _command(filesystem, device)
            try:
                said = await process.beginning(argv, enough=end_of_beginning, timeout_s=_TIMEOUT_S)
            except ToolFailed as error:
                raise _not_captured(target, error) from error
        beginning = said[max(said.find(MAGIC), 0) :]
        if not _partclone_name(filesystem) and target.sector_size > _WHOLE_BLOCK:
            return of_all_blocks(beginning, target.sector_size)
        return beginning

    @asynccontextmanager
    async def stream(self, target: Target, filesystem: str) -> AsyncIterator[Piped]:
        async with self._device(target) as device:
            try:
                async with process.piped(_command(filesystem, device)) as piped:
                    yield piped
            except ToolFailed as error:
                raise _not_captured(target, error) from error

    @asynccontextmanager
    async def node(self, target: Target) -> AsyncIterator[str]:
        await in_thread(self._compare, target)
        async with self._device(target) as device:
            yield device

    def _compare(self, target: Target) -> None:
        """It is the one that is meant, and nobody holds it."""
        with self._machine.open_target(target):
            pass

    @asynccontextmanager
    async def _device(self, target: Target) -> AsyncIterator[str]:
        path, start = self.place(target)
        if not start:
            yield path
            return
        async with loop_over(target.disk_device, target.start, target.size, target.sector_size) as loop:
            yield loop


def _command(filesystem: str, device: str) -> list[str]:
    """Standard output is the image; a log of its own it would write below /var/log."""
    name = _partclone_name(filesystem)
    tool = f"partclone.{_TOOLS.get(name, name.lower()) if name else _WHOLE}"
    return [tool, "-q", "-L", os.devnull, "-c", "-s", device, "-o", "-"]


def _partclone_name(filesystem: str) -> str:
    """Empty for what it does not know."""
    known = by_blkid(filesystem)
    return (known.partclone or "") if known else ""


def _not_captured(target: Target, error: ToolFailed) -> ModelNotRead:
    return ModelNotRead(
        f"{target.name} cannot be captured: {error.message}",
        hint="have its file system checked by the system that it belongs to, or by fsck",
    )


def end_of_beginning(said: bytes | bytearray) -> int:
    """Where bitmap and checksum end in what a partclone prints, by what has come of it. More than that as long as it
    cannot be told, and no more for what is none.

    Before the image, partclone.exfat prints a line for each run of blocks that are in use: its ``src/exfatclone.c``.
    """
    start = said.find(MAGIC)
    if start < 0:
        return len(said) + (len(said) < _MOST_LINES)
    if len(said) < start + HEADER_0002:
        return start + HEADER_0002
    if said[start + _VERSION : start + _VERSION + 4] != b"0002":
        return start + HEADER_0002
    (blocks,) = struct.unpack_from("<Q", said, start + _TOTAL_BLOCKS)
    return start + HEADER_0002 + (int(-(-blocks // 8)) + BITMAP_SUM if blocks <= MOST_BLOCKS else 0)
