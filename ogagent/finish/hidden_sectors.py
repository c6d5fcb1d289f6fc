"""How many sectors lie before a volume: its boot sector says so, and a BIOS boot sector adds it to all it reads.

Byte 28, 32 bits, in sectors: of NTFS as of FAT32, ``BPB_HiddSec`` of Microsoft's "FAT32 File System Specification". The
boot sector has a copy. That of NTFS comes behind the volume, in the sector after the last one it counts, or the last
one of the partition (ntfs-3g, ``mkntfs.c``); of FAT32, in the sector that byte 50 names.
mkntfs writes 0 where the number is too large: what Windows does there is not known, so nothing is done.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

from ogagent.disk.machine import Device
from ogagent.errors import NotReady
from ogagent.model.plan import Target
from ogagent.system.memory import page_aligned
from ogagent.system.patience import in_thread
from ogagent.system.reading import read_device

_AT: Final = 28
_FIELD: Final = struct.Struct("<I")
_MOST: Final = 0xFFFFFFFF
_SIGNED: Final = slice(510, 512)
_SIGNATURE: Final = b"\x55\xaa"
_NTFS: Final = b"NTFS    "
_FAT32: Final = b"FAT32   "
_FAT32_NAME: Final = slice(82, 90)
_SAME_NTFS: Final = (slice(3, _AT), slice(40, 80), _SIGNED)
_SAME_FAT32: Final = (slice(3, _AT), slice(32, 64), slice(67, 71), _FAT32_NAME, _SIGNED)
"""What a copy has in common: geometry, sizes, serial number. Not byte 65 of FAT32, which says whether it is mounted."""


class FollowStart:
    """Implements ``ogagent.finish.step.Step``. ``opened`` opens the partition ``target``, which is not mounted."""

    warnings: Final[Sequence[str]] = ()

    def __init__(self, target: Target, opened: Callable[[], AbstractContextManager[Device]]) -> None:
        self._target = target
        self._opened = opened

    @property
    def name(self) -> str:
        return "hidden sectors"

    @property
    def would(self) -> str:
        return f"the boot sector knows that {self._target.start // self._target.sector_size} sectors lie before it"

    async def needed(self) -> bool:
        return bool(await self._found_wrong())

    async def do(self) -> None:
        await in_thread(self._write)

    async def proof(self) -> None:
        if wrong := await self._found_wrong():
            raise NotReady(f"{self._target.name}: the boot sector at byte {wrong[0]} does not hold what was written")

    async def _found_wrong(self) -> list[int]:
        return await read_device(self._target.device, self._wrong)

    def _wrong(self) -> list[int]:
        with self._opened() as device:
            return [at for at, sector in self._sectors(device) if _FIELD.unpack_from(sector, _AT)[0] != self._hidden]

    def _write(self) -> None:
        """The copy first: what is interrupted in between is found to be wrong, and done again."""
        with self._opened() as device:
            for at, sector in reversed(list(self._sectors(device))):
                _FIELD.pack_into(sector, _AT, self._hidden)
                device.write(at, sector)
            device.flush()

    @property
    def _hidden(self) -> int:
        return self._target.start // self._target.sector_size

    def _sectors(self, device: Device) -> Iterator[tuple[int, memoryview]]:
        """The boot sector and its copies, with their places in bytes. Raises NotReady, WriteFailed."""
        size, name = self._target.sector_size, self._target.name
        if self._target.start % size or self._hidden > _MOST:
            raise NotReady(f"{name} begins at byte {self._target.start}, which no boot sector can say")
        boot = _read(device, 0, size)
        if int.from_bytes(boot[11:13], "little") != size:
            raise NotReady(f"the volume on {name} has no sectors of {size} bytes, as the disk has")
        yield 0, boot
        for at in dict.fromkeys(_copies(boot, size, device.size, name)):
            if 0 < at <= device.size - size:
                copy = _read(device, at, size)
                if _is_copy(copy, boot):
                    yield at, copy


def _read(device: Device, at: int, size: int) -> memoryview:
    sector = page_aligned(size)
    device.read_back(at, sector)
    return sector


def _copies(boot: memoryview, size: int, partition: int, name: str) -> tuple[int, ...]:
    """Where they may be, in bytes. Raises NotReady for another file system."""
    if bytes(boot[_SIGNED]) == _SIGNATURE and bytes(boot[3:11]) == _NTFS:
        return int.from_bytes(boot[40:48], "little") * size, (partition // size - 1) * size
    if bytes(boot[_SIGNED]) == _SIGNATURE and bytes(boot[_FAT32_NAME]) == _FAT32:
        return (int.from_bytes(boot[50:52], "little") * size,)
    raise NotReady(f"{name} holds neither NTFS nor FAT32")


def _is_copy(copy: memoryview, boot: memoryview) -> bool:
    """Of this volume: a longer one that lay here before may have left its own."""
    return all(copy[part] == boot[part] for part in (_SAME_NTFS if bytes(boot[3:11]) == _NTFS else _SAME_FAT32))
