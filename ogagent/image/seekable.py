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

# A frame sees nothing of what came before it. At the fast levels, tables that hold all of it and shorter matches win
# back more than a point of the 4 % that this costs, for a tenth more time; the slower levels have such tables anyway.
_FAST_LEVELS: Final = 4
_FAST_TABLES: Final[dict[int, int]] = {
    CompressionParameter.hash_log: 18,
    CompressionParameter.chain_log: 18,
    CompressionParameter.min_match: 4,
}


def pack_frame(data: bytes, level: int) -> bytes:
    options: dict[int, int] = {CompressionParameter.compression_level: level, CompressionParameter.checksum_flag: 1}
    if level <= _FAST_LEVELS:
        options |= _FAST_TABLES
    return zstd.compress(data, options=options)


def unpack_frame(frame: bytes, limit: int) -> bytes:
    """What a frame holds, at most ``limit`` bytes. Raises ImageCorrupt for more, or for what is not one whole frame."""
    decoder = zstd.ZstdDecompressor()
    try:
        data = decoder.decompress(frame, limit + 1)
    except zstd.ZstdError as error:
        raise ImageCorrupt(f"a frame of the image is damaged: {error}") from error
    if not decoder.eof or decoder.unused_data or len(data) > limit:
        raise ImageCorrupt("a frame of the image does not end where it should")
    return data


def seek_table(lengths: Iterable[tuple[int, int]]) -> bytes:
    """The last, skippable frame. ``lengths`` are those of each frame, packed and unpacked."""
    entries = b"".join(struct.pack("<II", packed, unpacked) for packed, unpacked in lengths)
    footer = struct.pack("<IBI", len(entries) // 8, _NO_CHECKSUMS, _SEEKABLE_MAGIC)
    return struct.pack("<II", _SEEK_TABLE_MAGIC, len(entries) + len(footer)) + entries + footer
