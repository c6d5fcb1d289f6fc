"""How the log of an XFS ends: after a clean unmount, with a record that says so.

Structures, big-endian, as in Linux' ``fs/xfs/libxfs``: ``struct xfs_dsb`` of xfs_format.h, ``xlog_rec_header`` and
``struct xlog_op_header`` of xfs_log_format.h. The end is found as ``xlog_find_head`` of fs/xfs/xfs_log_recover.c finds
it, without its search for writes of the last moment that did not reach the disk in order: an unmount waits for all of
them before it writes its own record.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ogagent.disk.volume import Volume

_BLOCK: Final = 512  # the log's own, BBSIZE, whatever a block or sector of the file system has
_HEADER: Final = b"\xfe\xed\xba\xbe"  # XLOG_HEADER_MAGIC_NUM
_CYCLES: Final = 32 << 10  # XLOG_HEADER_CYCLE_SIZE: so much of a record for each block of its header
_LONGEST: Final = (256 << 10) // _BLOCK + 8  # XLOG_MAX_RECORD_BSIZE, and its header
_UNMOUNT: Final = 0x20  # XLOG_UNMOUNT_TRANS


class Log(NamedTuple):
    """A ring of ``blocks`` blocks of 512 bytes, ``start`` bytes into the volume."""

    volume: Volume
    start: int
    blocks: int

    def block(self, number: int) -> bytes:
        return self.volume.read(self.start + number % self.blocks * _BLOCK, _BLOCK)

    def cycle(self, number: int) -> int:
        """How often the log had been gone round when the block was written: it begins with that, a header has it
        after its own magic.
        """
        block = self.block(number)
        return int.from_bytes(block[4:8] if block.startswith(_HEADER) else block[:4], "big")


class Record(NamedTuple):
    """``start`` counts from before the ring's beginning, where the record goes over its end: then it is negative.
    ``length``, in blocks, is what its header says.
    """

    start: int
    length: int
    is_unmount: bool


def needs_repair(volume: Volume) -> bool:
    """XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR of sb_features_incompat, in version 5. Raises as ``ends_with_unmount``."""
    superblock = _superblock(volume)
    (version,), (incompatible,) = struct.unpack_from(">H", superblock, 100), struct.unpack_from(">I", superblock, 216)
    return version & 0xF == 5 and bool(incompatible & 0x10)


def ends_with_unmount(volume: Volume) -> bool:
    """Raises ValueError or struct.error for a file system that cannot be understood, or whose log is on another device;
    OSError.
    """
    log = _log_of(volume)
    head = _head(log)
    last = _record_before(log, head)
    if last.start + last.length != head:  # ``xlog_find_verify_log_record``: it was not written to its end, and is none
        head = last.start
        last = _record_before(log, head)
    return last.is_unmount and last.start + last.length == head


def _superblock(volume: Volume) -> bytes:
    superblock = volume.read(0, _BLOCK)
    if superblock[:4] != b"XFSB":
        raise ValueError("no XFS superblock")
    return superblock


def _log_of(volume: Volume) -> Log:
    """sb_blocksize at 4, sb_logstart at 48, sb_agblocks at 84, sb_logblocks at 96, sb_agblklog at 124."""
    superblock = _superblock(volume)
    (block_size,), (start,) = struct.unpack_from(">I", superblock, 4), struct.unpack_from(">Q", superblock, 48)
    (group_blocks,), (blocks,) = struct.unpack_from(">I", superblock, 84), struct.unpack_from(">I", superblock, 96)
    group_bits = superblock[124]
    if block_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536) or group_bits > 32:
        raise ValueError("no XFS geometry")
    if start == 0 or blocks == 0:
        raise ValueError("no log inside")
    first = (start >> group_bits) * group_blocks + (start & (1 << group_bits) - 1)
    return Log(volume, first * block_size, blocks * block_size // _BLOCK)


def _head(log: Log) -> int:
    """Where the next record would go: at the first block of the cycle before, or that was never written."""
    last = log.cycle(log.blocks - 1)
    if log.cycle(0) == last:
        return log.blocks
    low, high = 0, log.blocks - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if log.cycle(middle) == last else (middle, high)
    return high


def _record_before(log: Log, head: int) -> Record:
    for start in range(head - 1, head - min(_LONGEST, log.blocks) - 1, -1):
        header = log.block(start)
        if header.startswith(_HEADER):
            return _record(log, start, header)
    raise ValueError("no record at the end of the log")


def _record(log: Log, start: int, header: bytes) -> Record:
    """h_version at 8, h_len at 12, h_num_logops at 40, h_size at 320; oh_flags at 9 of the first operation."""
    version, length = struct.unpack_from(">II", header, 8)
    (operations,), (buffer,) = struct.unpack_from(">I", header, 40), struct.unpack_from(">I", header, 320)
    head_blocks = max(-(-buffer // _CYCLES), 1) if version & 0x2 else 1
    is_unmount = operations == 1 and bool(log.block(start + head_blocks)[9] & _UNMOUNT)
    return Record(start, head_blocks + -(-length // _BLOCK), is_unmount)
