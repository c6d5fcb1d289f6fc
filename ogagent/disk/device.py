"""A partition (or a part of a disk that is a file), open for writing.

Large aligned pieces go past the page cache with ``O_DIRECT``: no copy, nothing left to sync for minutes at the end,
and a read-back that asks the medium. What is not aligned goes through the page cache, which is emptied every so often
so that a flush stays short.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from ogagent.errors import WriteFailed
from ogagent.model.units import MIB
from ogagent.system.memory import page_aligned

ALIGNMENT: Final = 4096
"""Serves every logical block size in use (512 and 4096) and every file system that a disk file may lie on."""

_DIRTY_LIMIT: Final = 64 * MIB
_BLKFLSBUF: Final = 0x1261  # linux/fs.h: write and drop what the cache holds of a block device
_BLKSSZGET: Final = 0x1268  # linux/fs.h: the size of a logical sector, as an int
_BLKZEROOUT: Final = 0x127F  # linux/fs.h: zeros on read, by whatever the device offers for it, else written
_FS_IOC_UNRESVSP64: Final = 0x4030582B  # linux/falloc.h: a hole in a file, which reads as zeros
_ZEROS: Final = page_aligned(MIB).toreadonly()


class BlockDevice:
    """Implements ``ogagent.disk.machine.Device`` over a file descriptor, which it owns from now on.

    ``base`` is where the partition begins in the file: 0 for a partition's own device node.
    """

    def __init__(self, fd: int, *, base: int, size: int, sector_size: int, name: str) -> None:
        self._fd = fd
        self._base = base
        self._size = size
        self._sector_size = sector_size
        self._name = name
        self._dirty = 0
        self._direct = _reopen_direct(fd)
        self._is_block_device = stat.S_ISBLK(os.fstat(fd).st_mode)
        self._zeroes_itself = True

    @property
    def size(self) -> int:
        return self._size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._direct is not None:
            os.close(self._direct)
        os.close(self._fd)

    def write(self, offset: int, data: memoryview) -> None:
        self._check_range(offset, len(data))
        direct = self._direct is not None and _aligned(self._base + offset, len(data), data)
        fd = self._direct if direct and self._direct is not None else self._fd
        done = 0
        while done < len(data):
            done += self._pwrite(fd, data[done:], offset + done)
        if not direct:
            self._dirty += len(data)
            if self._dirty >= _DIRTY_LIMIT:
                self._sync(os.fdatasync)

    def zero(self, offset: int, length: int) -> None:
        self._check_range(offset, length)
        position = self._base + offset
        whole_sectors = length and position % self._sector_size == 0 and length % self._sector_size == 0
        if self._zeroes_itself and whole_sectors:
            self._zeroes_itself = self._ask_for_zeros(position, length)
            if self._zeroes_itself:
                return
        for start in range(0, length, len(_ZEROS)):
            self.write(offset + start, _ZEROS[: min(len(_ZEROS), length - start)])

    def _ask_for_zeros(self, position: int, length: int) -> bool:
        """False when the kernel, the file system or the device knows no such thing."""
        try:
            if self._is_block_device:
                fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("QQ", position, length))
            else:  # struct space_resv: type and whence, start, length, and fields that are not looked at
                fcntl.ioctl(
                    self._fd,
                    _FS_IOC_UNRESVSP64,
                    struct.pack("hhxxxxqqiI4i", 0, os.SEEK_SET, position, length, *[0] * 6),
                )
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                return False
            raise self._failure("zeroing", position - self._base, error) from error
        return True

    def flush(self) -> None:
        self._sync(os.fsync)

    def read_back(self, offset: int, into: memoryview) -> None:
        self._check_range(offset, len(into))
        position = self._base + offset
        if self._direct is None:
            self._read_uncached(position, into)
        elif _aligned(position, len(into), into):
            self._read(self._direct, position, into)
        else:
            first = position - position % self._sector_size
            end = -(-(position + len(into)) // self._sector_size) * self._sector_size
            view = page_aligned(end - first)
            self._read(self._direct, first, view)
            into[:] = view[position - first : position - first + len(into)]

    def _check_range(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > self._size:
            raise WriteFailed(f"{self._name}: bytes {offset} to {offset + length} lie outside its {self._size} bytes")

    def _pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        try:
            written = os.pwrite(fd, data, self._base + offset)
        except OSError as error:
            raise self._failure("writing", offset, error) from error
        if written == 0:
            raise WriteFailed(f"{self._name}: the device took no byte at offset {offset}")
        return written

    def _sync(self, sync: Callable[[int], None]) -> None:
        try:
            sync(self._fd)
        except OSError as error:
            raise self._failure("flushing", None, error) from error
        self._dirty = 0

    def _read(self, fd: int, position: int, into: memoryview) -> None:
        done = 0
        while done < len(into):
            try:
                count = os.preadv(fd, [into[done:]], position + done)
            except OSError as error:
                raise self._failure("reading back", position + done - self._base, error) from error
            if count == 0:
                raise WriteFailed(f"{self._name}: nothing to read at offset {position + done - self._base}")
            done += count

    def _read_uncached(self, position: int, into: memoryview) -> None:
        self._sync(os.fdatasync)
        if self._is_block_device:
            fcntl.ioctl(self._fd, _BLKFLSBUF)
        else:
            os.posix_fadvise(self._fd, position, len(into), os.POSIX_FADV_DONTNEED)
        self._read(self._fd, position, into)

    def _failure(self, doing: str, offset: int | None, error: OSError) -> WriteFailed:
        place = "" if offset is None else f" at offset {offset}"
        name = errno.errorcode.get(error.errno or 0, "?")
        return WriteFailed(
            f"{doing} {self._name}{place} failed: {os.strerror(error.errno or 0)} ({name})",
            hint="look at the kernel log (dmesg) and at the disk's health (smartctl)",
        )


def sector_size(fd: int) -> int:
    """In bytes; 512 for what is no block device."""
    if not stat.S_ISBLK(os.fstat(fd).st_mode):
        return 512
    return int.from_bytes(fcntl.ioctl(fd, _BLKSSZGET, bytes(4)), sys.byteorder)


def _reopen_direct(fd: int) -> int | None:
    """The same file once more, past the page cache; None where its file system cannot do that."""
    with suppress(OSError):
        return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
    return None


def _aligned(position: int, length: int, data: memoryview) -> bool:
    if position % ALIGNMENT or length % ALIGNMENT:
        return False
    if data.readonly:
        return data.obj is _ZEROS.obj and length <= len(_ZEROS)
    return ctypes.addressof(ctypes.c_char.from_buffer(data)) % ALIGNMENT == 0
