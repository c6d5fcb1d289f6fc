"""What a model is like before it is read: held by nobody, in order, and which of its blocks are in use."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from msgspec import Struct

from ogagent.capture.blocks import UsedBlocks, of_volume_size, read_head
from ogagent.capture.machine import ModelMachine
from ogagent.capture.making import Origin
from ogagent.capture.request import CapturePlan
from ogagent.capture.streamed import WholeStream
from ogagent.disk.clean import Unclean, uncleanliness
from ogagent.disk.machine import Device, Machine
from ogagent.disk.volume import Volume
from ogagent.errors import BeginningUnknown, ModelChanged, ModelNotClean, ModelNotRead
from ogagent.image.filesystem import recognize
from ogagent.model.filesystem import NTFS
from ogagent.model.plan import Target
from ogagent.system.patience import entered, in_thread

_log: Final = logging.getLogger(__name__)


class Looked(Struct, frozen=True):
    """``beginning`` is what partclone would begin its image with, ``head`` the bytes that hold its superblock."""

    beginning: bytes
    head: bytes

    def blocks(self, device: Device, read: Callable[[int], None]) -> UsedBlocks:
        """``read`` hears how many bytes of them have been. Raises BeginningUnknown, ModelNotRead."""
        blocks, volume = UsedBlocks(self.beginning, device, read), recognize(self.head, NTFS.name)
        if volume is None or blocks.contents.header.filesystem != NTFS.partclone:
            return blocks
        return UsedBlocks(of_volume_size(self.beginning, volume.size), device, read)


def held(plan: CapturePlan, machine: Machine) -> AbstractAsyncContextManager[Device]:
    """By nobody else, so that it stays as it is. Raises DeviceBusy, DiskChanged."""
    return entered(machine.open_target(plan.target))


async def look(plan: CapturePlan, models: ModelMachine, device: Device) -> Looked:
    """Raises ModelNotClean, ModelNotRead, ToolMissing."""
    filesystem = "" if plan.whole else plan.filesystem
    unclean = await in_thread(_unclean, plan.target, models, filesystem)
    if unclean is not None:
        raise ModelNotClean(f"{plan.target.name} cannot be captured: {unclean.reason}", hint=unclean.hint)
    head = await in_thread(read_head, device)
    return Looked(await models.beginning(plan.target, filesystem), head)


def origin_of(
    looked: Looked, plan: CapturePlan, models: ModelMachine, device: Device, read: Callable[[int], None]
) -> Origin:
    """``read`` hears how many bytes have been. Raises ModelNotRead."""
    try:
        return looked.blocks(device, read)
    except BeginningUnknown as error:
        _log.warning("%s; it writes the whole image itself", error.message)
        return WholeStream(plan, models, read)


async def expect_unchanged(plan: CapturePlan, models: ModelMachine, device: Device, before: Looked) -> None:
    """Nobody could mount it. Who writes to the device itself is found when other blocks are in use then. Raises
    ModelChanged.
    """
    if await look(plan, models, device) != before:
        raise ModelChanged(
            f"{plan.target.name} was changed while it was read", hint="find out who writes to it, and capture it again"
        )


def _unclean(target: Target, models: ModelMachine, filesystem: str) -> Unclean | None:
    path, start = models.place(target)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return uncleanliness(Volume(fd, start, target.size), filesystem)
        finally:
            os.close(fd)
    except OSError as error:
        raise ModelNotRead(
            f"{target.name} cannot be read: {error.strerror}", hint="look at the disk's health (smartctl)"
        ) from error
