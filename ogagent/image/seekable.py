"""Images in frames, each of which stands for itself, in the zstd seekable format.

That is (zstd's ``contrib/seekable_format/zstd_seekable_compression_format.md``) ordinary frames, then a table of their
lengths in a skippable frame, which ``zstd -d`` passes over.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from typing import Final

from ogagent.errors import ImageCorrupt
from ogagent.image import libzstd
from ogagent.image.zstd_frame import ZSTD_MAGIC
from ogagent.model.units import KIB
from ogagent.system.memory import page_aligned

if sys.version_info >= (3, 14):
    from compression import zstd
    from compression.zstd import CompressionParameter
else:
    from backports import zstd
    from backports.zstd import CompressionParameter

LEVELS: Final = range(1, 20)

_SEEK_TABLE_MAGIC: Final = 0x184D2A5E
_SEEKABLE_MAGIC: Final = 0x8F92EAB1
SEEKABLE_END: Final = struct.pack("<I", _SEEKABLE_MAGIC)
"""The last bytes of the file."""
_NO_CHECKSUMS: Final = 0

# A frame sees nothing of what came before it. At the fast levels, tables for all of it and matches from five bytes on
# win back a point or two of the 4 % that this costs, and take no more time: they still fit where a processor is quick.
# Larger ones, and shorter matches, win a quarter of a percent at level 3, for a quarter more time.
_FAST_LEVELS: Final = 4
_FAST_TABLES: Final[dict[int, int]] = {
    CompressionParameter.hash_log: 17,
    CompressionParameter.chain_log: 17,
    CompressionParameter.min_match: 5,
}


def pack_frame(data: bytes | memoryview, level: int) -> bytes:
    options: dict[int, int] = {CompressionParameter.compression_level: level, CompressionParameter.checksum_flag: 1}
    if level <= _FAST_LEVELS:
        options |= _FAST_TABLES
    return zstd.compress(data, options=options)


def longest_packed(size: int) -> int:
    """How long a frame of ``size`` bytes can become: what does not shrink is stored, with 3 bytes a block of 128 KiB.
    ``ZSTD_COMPRESSBOUND`` in zstd.h says the same.
    """
    return size + size // 256 + KIB


def unpack_into(frame: bytes | memoryview, into: memoryview, *, checked: bool) -> int:
    """Answers how many bytes of ``into`` the frame fills. A view must be of memory that can be written to.

    Not ``checked``: whoever calls has a better proof than the checksum in the frame. Raises ImageCorrupt when there is
    no room for all that is in it, and for what is not one whole frame.
    """
    if frame[: len(ZSTD_MAGIC)] != ZSTD_MAGIC:  # libzstd would read its own older formats as well
        raise ImageCorrupt("there is no frame where the index says that one begins")
    try:
        return libzstd.unpack(frame, into, checked=checked)
    except libzstd.ZstdError as error:
        raise ImageCorrupt(f"a frame of the image is damaged, or not of the size that it must be: {error}") from error


def unpack_frame(frame: bytes, limit: int) -> memoryview:
    """What a frame holds, at most ``limit`` bytes. Only those that are there take memory. Raises ImageCorrupt."""
    room = page_aligned(max(limit, 1))
    return room[: unpack_into(frame, room, checked=True)]


def seek_table(lengths: Iterable[tuple[int, int]]) -> bytes:
    """The last, skippable frame. ``lengths`` are those of each frame, packed and unpacked."""
    entries = b"".join(struct.pack("<II", packed, unpacked) for packed, unpacked in lengths)
    footer = struct.pack("<IBI", len(entries) // 8, _NO_CHECKSUMS, _SEEKABLE_MAGIC)
    return struct.pack("<II", _SEEK_TABLE_MAGIC, len(entries) + len(footer)) + entries + footer
