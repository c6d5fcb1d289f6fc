"""Systems that sleep. What they knew of file systems comes back when they wake, and is written over what was restored.

Linux sleeps in swap space, whose signature is another one meanwhile: ``kernel/power/swap.c``; others that write there,
uswsusp and TuxOnIce, have their own: ``libblkid/src/superblocks/swap.c``. Windows sleeps in a file of its own
partition, also when it was shut down with fast start-up. Swap files are not looked at, nor is what is encrypted.
"""

from __future__ import annotations

import struct
from typing import Final

from ogagent.disk import ntfs_file
from ogagent.disk.machine import Device
from ogagent.disk.volume import Volume
from ogagent.errors import ReadBackDiffers
from ogagent.model.filesystem import NTFS, SUSPENDED
from ogagent.model.units import KIB
from ogagent.system.memory import page_aligned

_HIBERFIL: Final = "hiberfil.sys"
_ASLEEP: Final = (b"hibr", b"HIBR")  # ntfs-3g, libntfs-3g/volume.c: once Windows has woken it says something else
_PAGE: Final = 4 * KIB
_PAGE_SIZES: Final = (4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB)
"""Of the machine that made the swap space: the signature ends the first one."""
_IMAGES: Final = (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001")
_SWAP: Final = b"SWAPSPACE2"
_TUXONICE: Final = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"  # at the very beginning, before a signature that is plain


def is_hibernated(volume: Volume, filesystem: str) -> bool:
    """``filesystem`` as libblkid names it. Blocking. Raises OSError."""
    if filesystem != NTFS.blkid:
        return filesystem == SUSPENDED.blkid
    try:
        return ntfs_file.beginning_of(volume, _HIBERFIL, 4) in _ASLEEP
    except (ValueError, IndexError, struct.error):
        return False


def discard_image(device: Device) -> bool:
    """Makes plain swap space of what a Linux sleeps in. Label and UUID stay, as when swapon(8) does it.

    False when none sleeps there by now. Blocking. Raises DeviceError.
    """
    discarded = [_discard_in(device, page - _PAGE) for page in _PAGE_SIZES if page <= device.size]
    return any(discarded)


def _discard_in(device: Device, offset: int) -> bool:
    page, found = page_aligned(_PAGE), page_aligned(_PAGE)
    device.read_back(offset, page)
    before = bytes(page)
    if offset == 0 and before.startswith(_TUXONICE):
        page[: len(_TUXONICE)] = bytes(len(_TUXONICE))
    if before.startswith(_IMAGES, _PAGE - len(_SWAP)):
        page[-len(_SWAP) :] = _SWAP
    if page == before:
        return False
    device.write(offset, page)
    device.flush()
    device.read_back(offset, found)
    if found != page:
        raise ReadBackDiffers(f"the page at byte {offset} does not hold what was written")
    return True
