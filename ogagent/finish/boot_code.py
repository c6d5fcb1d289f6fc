"""A Windows that a BIOS is to start: the first sector of its disk has code for that, and a partition that is active.

A table that is new has neither. What is there stays, but for a GRUB where no Linux is left that it could start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ogagent.disk.boot_record import PRIMARY, first_sector, is_startable, make_startable
from ogagent.disk.codes import CACHE
from ogagent.errors import NotReady
from ogagent.finish.place import Place, Volume
from ogagent.model.filesystem import by_blkid
from ogagent.system.patience import in_thread


class BootCode:
    """Implements ``ogagent.finish.step.Step``."""

    name: Final = "boot code"
    warnings: Final[Sequence[str]] = ()

    def __init__(self, place: Place) -> None:
        self.would = f"{place.target.disk_device} starts {place.target.name}, unless another one is active"
        self._target = place.target
        self._grub_counts = any(_may_hold_a_menu(each) for each in place.volumes)

    async def needed(self) -> bool:
        return self._target.partition in PRIMARY and not await in_thread(self._is_startable)

    async def do(self) -> None:
        await in_thread(lambda: make_startable(self._target, grub_counts=self._grub_counts))

    async def proof(self) -> None:
        """``make_startable`` has read it back."""

    def _is_startable(self) -> bool:
        try:
            sector = first_sector(self._target.disk_device, self._target.sector_size)
        except OSError as error:
            raise NotReady(f"{self._target.disk_device} cannot be read: {error.strerror}") from error
        return is_startable(sector, grub_counts=self._grub_counts)


def _may_hold_a_menu(volume: Volume) -> bool:
    """Of GRUB, which is on no Windows' partition, and not in a CACHE."""
    known = by_blkid(volume.filesystem)
    windows = known is not None and known.family == "Windows"
    return bool(volume.filesystem) and not windows and not volume.swap and volume.label != CACHE
