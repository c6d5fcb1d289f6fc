"""Partition tables that rooms usually have, in sizes that fit the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from simulator.ogcore.console.tables import CACHE, Draft, Row, as_is
from simulator.ogcore.views import DiskView

_KIB: Final = 1 << 10
_MIB: Final = 1 << 10
_LEAST_EFI: Final = 36 * _MIB
"""A FAT32 has more than 33 MiB."""
_USUAL_EFI: Final = 512 * _MIB
_CACHE_NUMBER: Final = 4


def _share(disk: DiskView, parts: int) -> int:
    """One of so many equal parts, in KiB, whole MiB."""
    return disk.size // _KIB // parts // _MIB * _MIB


def _efi(disk: DiskView) -> Row:
    size = min(max(_share(disk, 16), _LEAST_EFI), _USUAL_EFI)
    return Row(number=1, kind="EFI", filesystem="FAT32", size=size)


def _cache(disk: DiskView) -> Row:
    """Not formatted: what it holds stays when place and size do."""
    return Row(number=_CACHE_NUMBER, kind=CACHE, size=_share(disk, 4), format=False)


def _windows_and_linux(disk: DiskView) -> Draft:
    windows = Row(number=2, kind="NTFS", filesystem="NTFS", size=_share(disk, 3))
    return Draft(disk=disk.disk, table="GPT", rows=(_efi(disk), windows, Row(number=3), _cache(disk)))


def _linux(disk: DiskView) -> Draft:
    return Draft(disk=disk.disk, table="GPT", rows=(_efi(disk), Row(number=2), _cache(disk)))


def _linux_on_msdos(disk: DiskView) -> Draft:
    return Draft(disk=disk.disk, table="MSDOS", rows=(Row(number=1), _cache(disk)))


def _data(disk: DiskView) -> Draft:
    return Draft(disk=disk.disk, table="GPT", rows=(Row(number=1, kind="DATA", filesystem="NTFS"),))


LAYOUTS: Final[Mapping[str, tuple[str, Callable[[DiskView], Draft]]]] = {
    "as-is": ("As it is now", as_is),
    "windows-linux": ("GPT: Windows, Linux and CACHE", _windows_and_linux),
    "linux": ("GPT: Linux and CACHE", _linux),
    "msdos-linux": ("MSDOS: Linux and CACHE", _linux_on_msdos),
    "data": ("Empty data disk", _data),
}
"""By name: what people read, and the draft for a disk."""
