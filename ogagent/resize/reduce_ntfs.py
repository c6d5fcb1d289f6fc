"""NTFS: ``ntfsresize``, which moves what lies behind, then writes the records of files, the bitmap, and at the very end
the boot sector. It marks the volume for chkdsk before it changes anything, and nothing but chkdsk brings a volume in
order where it was interrupted: so what it overwrites is saved before, see ``ntfs_undo``.

Where it has ended well, and finds every cluster accounted for when it looks once more, nothing is left for chkdsk: the
mark goes, by ``ntfsfix --clear-dirty``. A marked volume is not captured by partclone, and every PC restored from it
would check its disk first. A volume that Windows has used before it could be brought back is grown as it is, and
keeps a mark that it has.
"""

from __future__ import annotations

import logging
import os
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ogagent.disk.hibernation import is_hibernated
from ogagent.disk.ntfs_log import is_open
from ogagent.disk.volume import Volume
from ogagent.errors import CannotReduce, ToolFailed
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.model.filesystem import NTFS
from ogagent.model.units import MIB
from ogagent.resize import ntfs_undo
from ogagent.resize.resizer import resizer
from ogagent.resize.undo_file import check_room, remove_undo_file
from ogagent.system.patience import in_thread
from ogagent.system.reading import read_device

_CHECK_S: Final = 3600.0
_RESIZE_S: Final = 12 * 3600.0
_MARGIN: Final = 64 * MIB
"""ntfsresize.c needs some for what becomes fragmented; ntfsresize(8): Windows some to start."""
_SECTORS_AT: Final = 40  # of the boot sector: how many it counts, its copy excluded

_log = logging.getLogger(__name__)


async def prepare(device: str, undo: Path) -> tuple[int, int, int]:
    """The size of the volume; to what it is made smaller, 0 when there is nothing to gain; and the room that the undo
    file needs. Looks only.

    Raises CannotReduce, ToolMissing, ToolFailed and OSError: also when it is marked for chkdsk, sleeps, or has bad
    sectors.
    """
    size, sector = await read_device(device, lambda: _measure(device))
    await read_device(device, lambda: _refuse_unclean(device))
    await resizer("ntfsfix", "--version", timeout_s=_CHECK_S)
    told = await _look(device)
    cluster = re.search(r"^Cluster size +: (\d+) bytes", told, re.MULTILINE)
    least = re.search(r"^You might resize at (\d+) bytes", told, re.MULTILINE)
    if cluster is None or least is None:
        raise ToolFailed("ntfsresize does not tell how small the volume can be")
    # The copy of the boot sector comes behind the last cluster.
    clusters = -(-(int(least[1]) * 21 // 20 + _MARGIN) // int(cluster[1]))
    target = clusters * int(cluster[1]) + sector
    if target >= size:
        return size, 0, 0
    await _resize(device, target, "--no-action")
    ranges = await _overwritten(device, target)
    room = sum(length for _, length in ranges) + MIB
    await read_device(str(undo.parent), lambda: check_room(undo, room))
    return size, target, room


async def shrink(device: str, undo: Path, size: int, target: int) -> int:
    """Raises AgentError and OSError, and has to be taken back then."""
    if not target:
        return size
    await _look(device)  # whatever has happened to it since
    await in_thread(_refuse_unclean, device)
    ranges = await _overwritten(device, target)
    await in_thread(ntfs_undo.save, device, undo, ranges)
    await _resize(device, target, "--force")
    await _unmark(device)
    return (await in_thread(_measure, device))[0]


async def grow_back(device: str, undo: Path, size: int) -> None:
    """To ``size`` bytes. Raises ToolFailed, ToolMissing and OSError."""
    await in_thread(remove_undo_file, ntfs_undo.unfinished(undo))
    if await in_thread(undo.exists):
        try:
            back = await in_thread(ntfs_undo.write_back, device, undo)
        except (ValueError, struct.error) as error:
            raise _by_hand(device, str(error)) from error
        await in_thread(remove_undo_file, undo)
        if back:
            return
    await grow(device, size)


async def grow(device: str, size: int) -> bool:
    """To ``size`` bytes. Whether it stays marked for chkdsk, as it was before. Raises as ``grow_back`` does."""
    marked = await _is_marked(device)
    if (await in_thread(_measure, device))[0] != size:
        await _resize(device, size, "--force", "--no-action")
        await _resize(device, size, "--force", "--force")
        await in_thread(_count_sectors, device, size)
        if not marked:
            await _unmark(device)
    if marked:
        _log.warning("%s stays marked for chkdsk", device)
    return marked


async def _is_marked(device: str) -> bool:
    """Raises ToolFailed when it cannot be grown: not only marked, but such that chkdsk is needed first."""
    try:
        await _look(device)
    except ToolFailed:
        try:
            await _look(device, "--force")
        except ToolFailed as error:
            raise _by_hand(device, error.message) from error
        return True
    return False


async def _overwritten(device: str, target: int) -> list[ntfs_undo.Range]:
    """Looks through the whole $MFT."""
    stop = threading.Event()
    with _understood(device):
        return await read_device(
            device, lambda: ntfs_undo.overwritten(device, target, stop), patience_s=_CHECK_S, interrupt=stop.set
        )


def _refuse_unclean(device: str) -> None:
    """ntfsresize itself looks at the mark for chkdsk only. Blocking. Raises CannotReduce and OSError."""
    with _understood(device), Path(device).open("rb", buffering=0) as file:
        volume = Volume(file.fileno(), 0, file.seek(0, os.SEEK_END))
        if is_hibernated(volume, NTFS.blkid):
            raise CannotReduce(f"the Windows on {device} sleeps", hint="shut it down, without fast start-up")
        if is_open(volume):
            raise CannotReduce(f"the Windows on {device} was not shut down cleanly", hint="start it, and shut it down")


@contextmanager
def _understood(device: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError, struct.error) as error:
        raise CannotReduce(f"{device} holds an NTFS that is not understood: {error}") from error


async def _unmark(device: str) -> None:
    await _look(device, "--force")
    await resizer("ntfsfix", "--clear-dirty", device, timeout_s=_CHECK_S)


async def _look(device: str, *options: str) -> str:
    """Compares what all files occupy with the bitmap. Raises ToolFailed when it differs."""
    return await resizer("ntfsresize", "--info", "--no-progress-bar", *options, device, timeout_s=_CHECK_S)


async def _resize(device: str, size: int, *options: str) -> None:
    """A size without a unit: then it writes the copy of the boot sector, too."""
    await resizer("ntfsresize", "--no-progress-bar", *options, "--size", str(size), device, timeout_s=_RESIZE_S)


def _measure(device: str) -> tuple[int, int]:
    """Bytes of the volume and of a sector. Blocking. Raises OSError, and CannotReduce when it is none."""
    with Path(device).open("rb", buffering=0) as file:
        found = recognize(os.pread(file.fileno(), PROBE_SIZE, 0), "NTFS")
    if found is None or not found.sector_size:
        raise CannotReduce(f"{device} does not hold an NTFS any more")
    return found.size, found.sector_size


def _count_sectors(device: str, size: int) -> None:
    """As many as before: ntfsresize counts whole clusters, and behind them may be some sectors more. The copy, which it
    has written into the last of ``size`` bytes, is then where the count says. Blocking. Raises OSError.
    """
    (_, sector), fd = _measure(device), os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        boot = bytearray(os.pread(fd, sector, 0))
        struct.pack_into("<Q", boot, _SECTORS_AT, size // sector - 1)
        for offset in (size - sector, 0):
            os.pwrite(fd, boot, offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def _by_hand(device: str, why: str) -> ToolFailed:
    return ToolFailed(
        f"the volume on {device} is not as it was before it was made smaller: {why}",
        hint=f"by hand: start its Windows, where chkdsk runs by itself; then ntfsresize --force {device}",
    )
