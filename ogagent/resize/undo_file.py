"""The undo file of e2fsprogs: what overwritten blocks of a file system held before, written before they were.

``lib/ext2fs/undo_io.c``: ``struct undo_header``, little-endian, at 0, and where it says the superblock that the file
system had at the last entry, its magic inverted.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import CannotReduce
from ogagent.model.units import format_bytes

_MAGIC: Final = b"E2UNDO02"
_FINISHED: Final = 1  # E2UNDO_STATE_FINISHED
_LARGEST_BLOCK: Final = 1 << 20
_SUPERBLOCK: Final = 1024
_MAGIC_AT: Final = 56  # s_magic

_LONG: Final = struct.calcsize("l")
_GET_FLAGS: Final = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1  # FS_IOC_GETFLAGS, linux/fs.h
_SET_FLAGS: Final = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_SYNCHRONOUS: Final = 0x8  # FS_SYNC_FL
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE, linux/falloc.h


class UndoFile(Struct, frozen=True):
    """``superblock`` as the file system had it at the last entry; ``finished`` when the program has ended by itself,
    or was about to write the last one.
    """

    superblock: bytes
    finished: bool


def check_room(path: Path, needed: int) -> None:
    """For an undo file of so many bytes. Blocking. Raises CannotReduce when there is not enough, and OSError."""
    free = room_for(path)
    if free < needed:
        raise CannotReduce(
            f"{path.parent} has {format_bytes(free)} free, an undo file may need {format_bytes(needed)}",
            hint="make room in the CACHE",
        )


def create_undo_file(path: Path, room: int) -> None:
    """An empty one, for which ``room`` bytes are kept: a program that finds the disk full goes on to write to the file
    system, also what it could not write to the undo file.

    Each write to it is on the disk before the next begins, so that also a power cut can be undone: the programs
    themselves wait for nothing. Where files know no such attribute only deaths of programs can.

    Blocking. Raises OSError: also when there is one, no such room, or none can be kept on such a file system.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):
            (flags,) = struct.unpack_from("i", fcntl.ioctl(fd, _GET_FLAGS, bytes(_LONG)))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", flags | _SYNCHRONOUS))
        _keep(fd, room)
        os.fsync(fd)
    finally:
        os.close(fd)
    flush_folder(path)


def _keep(fd: int, room: int) -> None:
    """As posix_fallocate(3), without a change of the file's length."""
    library = ctypes.CDLL(None, use_errno=True)
    library.fallocate64.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if library.fallocate64(fd, _KEEP_SIZE, 0, room) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no room for an undo file: {os.strerror(number)}")


def give_room_back(path: Path) -> None:
    """What is kept behind its end. Blocking. Raises OSError."""
    os.truncate(path, path.stat().st_size)


def room_for(path: Path) -> int:
    """Bytes. Blocking. Raises OSError."""
    there = os.statvfs(path.parent)
    return there.f_bavail * there.f_frsize


def read_undo_file(path: Path) -> UndoFile | None:
    """None when there is none, and when its program died before it changed anything. Blocking. Raises OSError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        header = file.read(512)
        if len(header) < 512 or not header.startswith(_MAGIC):
            return None
        (place,) = struct.unpack_from("<Q", header, 16)
        block_size, state = struct.unpack_from("<I8xI", header, 32)
        if not (place < 1 << 20 and block_size <= _LARGEST_BLOCK):
            return None
        file.seek(place * block_size)
        superblock = bytearray(file.read(_SUPERBLOCK))
    magic = bytes(0xFF ^ byte for byte in superblock[_MAGIC_AT : _MAGIC_AT + 2])
    if magic != b"\x53\xef":
        return None
    superblock[_MAGIC_AT : _MAGIC_AT + 2] = magic
    return UndoFile(bytes(superblock), bool(state & _FINISHED))


def remove_undo_file(path: Path) -> None:
    """Also when there is none. Blocking. Raises OSError."""
    path.unlink(missing_ok=True)
    flush_folder(path)


def flush_folder(path: Path) -> None:
    """The entry of a file. Blocking. Raises OSError."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
