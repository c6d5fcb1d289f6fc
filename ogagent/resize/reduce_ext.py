"""ext2 to ext4: ``resize2fs -M`` with an undo file, and ``e2undo``.

The undo file is kept until the file system is brought back, also when ``resize2fs`` has ended well: played back, the
model is what it was, block by block. When somebody has used the small file system meanwhile, a PC that was started from
its disk, say, it is grown instead.

While it is played back the undo file has another name. For what ``e2undo`` leaves when it dies looks like the file
system of neither side, and is put right by playing it back once more.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import CannotReduce, ToolFailed
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.model.units import KIB, MIB
from ogagent.resize.resizer import resizer, until_free
from ogagent.resize.undo_file import (
    UndoFile,
    check_room,
    create_undo_file,
    flush_folder,
    give_room_back,
    read_undo_file,
    remove_undo_file,
    room_for,
)
from ogagent.system.patience import in_thread
from ogagent.system.reading import read_device

_CHECK_S: Final = 3600.0
_RESIZE_S: Final = 4 * 3600.0
_REPAIRED: Final = (0, 1)  # of e2fsck(8): nothing was wrong, or nothing is by now

_GRAIN: Final = 128 * KIB
"""What the undo file keeps at a time. With as little as a block a file that waits for its disk is slow; and up to four
blocks libext2fs 1.47.0 keeps in a cache that it does not empty when it writes past it: resize2fs then reads what was.
"""
_MARGIN: Final = 64 * MIB
_INCOMPLETE: Final = "Incomplete undo record; run e2fsck."


class _Ext(Struct, frozen=True):
    """``packed`` is the superblock: linux/fs/ext4/ext4.h, ``struct ext4_super_block``."""

    packed: bytes
    size: int
    block_size: int

    def number(self, offset: int, form: str = "<I") -> int:
        found: int = struct.unpack_from(form, self.packed, offset)[0]
        return found

    @property
    def clean(self) -> bool:
        """s_state: valid, no errors. s_feature_incompat: the journal needs no recovery. s_last_orphan: none."""
        return self.number(0x3A, "<H") & 3 == 1 and not self.number(0x60) & 0x4 and not self.number(0xE8)

    @property
    def has_errors(self) -> bool:
        """Also the first that resize2fs writes, and the last that it takes away."""
        return bool(self.number(0x3A, "<H") & 2)

    @property
    def life(self) -> bytes:
        """What mounting and checking change and resize2fs does not: s_uuid, s_mtime, s_mnt_count, s_lastcheck."""
        return self.packed[0x68:0x78] + self.packed[0x2C:0x30] + self.packed[0x34:0x36] + self.packed[0x40:0x44]


async def prepare(device: str, undo: Path) -> tuple[int, int]:
    """The size of the file system, and the room that the undo file needs. Looks only.

    Raises CannotReduce, ToolMissing, ToolFailed and OSError.
    """
    found = await read_device(device, lambda: _read(device))
    if not found.clean:
        raise CannotReduce(f"the file system on {device} was not left cleanly", hint="start the PC from it once")
    await resizer("e2fsck", "-V", timeout_s=_CHECK_S)
    await resizer("prlimit", "--version", timeout_s=_CHECK_S)
    await resizer("e2undo", "-h", timeout_s=_CHECK_S, good=(1,))  # it has no option that only answers
    if re.search(r"^\d+$", await resizer("dumpe2fs", "-b", device, timeout_s=_CHECK_S), re.MULTILINE):
        raise CannotReduce(f"the file system on {device} has bad blocks", hint="replace the disk")
    least = re.search(
        r"minimum size of the filesystem: (\d+)", await resizer("resize2fs", "-P", device, timeout_s=_CHECK_S)
    )
    if least is None:
        raise ToolFailed("resize2fs does not tell how small the file system can be")
    room = await read_device(device, lambda: _room(device, found, int(least[1])))
    await read_device(str(undo.parent), lambda: check_room(undo, room))
    return found.size, room


async def shrink(device: str, undo: Path, room: int) -> int:
    """Raises AgentError and OSError, and has to be taken back then."""
    await _check(device, "-fp")
    await in_thread(create_undo_file, undo, room)
    await _resize_with(undo, room, device, "-M")
    await in_thread(give_room_back, undo)
    await _check(device, "-fn")
    return (await in_thread(_read, device)).size


async def grow_back(device: str, undo: Path, size: int) -> None:
    """To ``size`` bytes. Raises ToolFailed, ToolMissing, and OSError."""
    await _play_back(device, undo, size)
    found = await in_thread(_read, device)
    if found.has_errors:
        raise _by_hand(device, undo, "there is no undo file")
    grown = found.size != size
    if grown:
        await _check(device, "-fp")
        # New tables of inodes are the most of what growing writes: 1/64 of what comes, as mke2fs has them.
        room = min(await in_thread(room_for, undo) // 2, size // 32 + 4 * _MARGIN)
        await in_thread(create_undo_file, undo, room)
        await _resize_with(undo, room, device, f"{size // 512}s")
    if grown or not found.clean:
        await _check(device, "-fp")
        found = await in_thread(_flushed, device)
    if found.size != size:
        raise _by_hand(device, undo, f"it has {found.size} bytes, before it had {size}")
    await in_thread(remove_undo_file, undo)


async def _play_back(device: str, undo: Path, size: int) -> None:
    """Whatever undo file is there, or none. Afterwards there is none."""
    playing = undo.with_suffix(".undoing")
    if not await in_thread(_begin, device, undo, playing, size):
        return
    for options in (("-f", "-n"), ("-f",)):  # the superblock may be newer than the last entry
        try:
            await until_free(device)
            told = await resizer("e2undo", *options, str(playing), device, timeout_s=_RESIZE_S)
        except ToolFailed as error:
            raise _by_hand(device, playing, error.message) from error
        # Forced, it would also play back what is damaged, and its status does not tell.
        if told.strip() not in ("", _INCOMPLETE):
            raise _by_hand(device, playing, told.strip())
    await in_thread(_flushed, device)
    await in_thread(remove_undo_file, playing)


def _begin(device: str, undo: Path, playing: Path, size: int) -> bool:
    """Whether it is to be played back; removed when not."""
    if playing.exists():
        return True
    entries = read_undo_file(undo)
    if entries is None or not _belongs(entries, device, undo, size):
        remove_undo_file(undo)
        return False
    undo.rename(playing)
    flush_folder(playing)
    return True


def _belongs(entries: UndoFile, device: str, undo: Path, size: int) -> bool:
    """To what is there now. Of a file resize2fs cuts off what it does not need, at the very end."""
    found, last = _read(device), _Ext(entries.superblock, 0, 0)
    if entries.finished and not last.has_errors:
        return found.packed == last.packed and found.size != size and _length(device) >= size
    if found.life != last.life:
        raise _by_hand(device, undo, "somebody has mounted or checked it before all of its blocks were back")
    return True


async def _check(device: str, option: str) -> None:
    await until_free(device)
    await resizer("e2fsck", option, device, timeout_s=_CHECK_S, good=_REPAIRED if option == "-fp" else (0,))


async def _resize_with(undo: Path, room: int, device: str, size: str) -> None:
    """Ended rather than told when the room is used up, at the end of a grain: see ``create_undo_file``. To a file, not
    to a device, the limit would apply as well.

    Options of libext2fs' input and output follow the name.
    """
    grains = room // _GRAIN * _GRAIN if await in_thread(Path(device).is_block_device) else 0
    option = f"{device}?tdb_data_size={_GRAIN}"
    arguments = (size, option) if size.startswith("-") else (option, size)
    await until_free(device)
    await resizer("resize2fs", "-z", str(undo), *arguments, timeout_s=_RESIZE_S, largest=grains)


def _read(device: str) -> _Ext:
    """Blocking. Raises OSError, and ToolFailed when it is none."""
    with Path(device).open("rb", buffering=0) as file:
        head = os.pread(file.fileno(), PROBE_SIZE, 0)
    known = recognize(head, "EXTFS")
    if known is None or not known.size:
        raise ToolFailed(f"{device} does not hold an ext2, ext3 or ext4 any more")
    return _Ext(head[1024:2048], known.size, known.sector_size)


def _flushed(device: str) -> _Ext:
    with Path(device).open("rb", buffering=0) as file:
        os.fsync(file.fileno())
    return _read(device)


def _length(device: str) -> int:
    with Path(device).open("rb", buffering=0) as file:
        return file.seek(0, os.SEEK_END)


def _room(device: str, found: _Ext, least: int) -> int:
    """How long the undo file may become, in bytes, when only ``least`` blocks stay: not longer than these.

    What lies behind is moved to where free blocks are, with all tables of inodes; directories are written again for the
    inodes that move. linux/fs/ext4/ext4.h, ``struct ext4_group_desc``.
    """
    most = least * found.block_size + _MARGIN
    per_group, first, blocks = found.number(0x20), found.number(0x14), found.size // found.block_size
    if found.number(0x60) & 0x10 or not per_group:  # meta_bg: the descriptors lie all over
        return most
    wide = bool(found.number(0x60) & 0x80)
    length = found.number(0xFE, "<H") if wide else 32
    groups = -(-(blocks - first) // per_group)
    with Path(device).open("rb", buffering=0) as file:
        table = os.pread(file.fileno(), groups * length, (first + 1) * found.block_size)
    if len(table) < groups * length:
        return most
    moved = inodes = homeless = directories = 0
    for group in range(groups):
        free_blocks, free_inodes, folders = struct.unpack_from("<HHH", table, group * length + 12)
        start = first + group * per_group
        end = min(start + per_group, blocks)
        moved += min(end - start - min(free_blocks, end - start), max(0, end - least))
        inodes += found.number(0x28) - min(free_inodes, found.number(0x28))
        homeless += found.number(0x28) - min(free_inodes, found.number(0x28)) if start >= least else 0
        directories += folders
    renamed = min(directories, 2 * homeless) * _GRAIN
    return min(most, moved * found.block_size * 5 // 4 + inodes * found.number(0x58, "<H") + renamed + _MARGIN)


def _by_hand(device: str, undo: Path, why: str) -> ToolFailed:
    return ToolFailed(
        f"the file system on {device} is not what it was before it was made smaller: {why}",
        hint=f"by hand: e2undo -f {undo} {device} (if it is there), e2fsck -fy {device}, resize2fs {device}",
    )
