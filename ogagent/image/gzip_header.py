"""What stands before the data of a gzip member: RFC 1952, 2.3. Read here, and whole, wherever the stream is cut."""

from __future__ import annotations

from typing import Final

from isal import isal_zlib

from ogagent.errors import ImageCorrupt
from ogagent.image.stream import Chunks

GZIP_MAGIC: Final = b"\x1f\x8b"

SHORTEST_HEADER: Final = GZIP_MAGIC + b"\x08" + bytes(6) + b"\xff"
"""With no optional field, no time, and a system that is not known."""

_DEFLATE: Final = 8
_HEADER_CRC: Final = 0x02
_EXTRA_FIELD: Final = 0x04
_NAME: Final = 0x08
_COMMENT: Final = 0x10
_RESERVED: Final = 0xE0

_LONGEST_TEXT: Final = 128 << 10
"""Of a name or a comment, which have no length but end with a zero. It is what Linux takes in one argument of a
command line (MAX_ARG_STRLEN), and so the longest that ``pigz --comment`` can be told."""
_TEXT_PIECE: Final = 512


def read_header(chunks: Chunks) -> None:
    """Raises ImageCorrupt. Nothing in a header matters to the data."""
    header = bytearray(_take(chunks, len(SHORTEST_HEADER)))
    method, flags = header[2], header[3]
    if header[:2] != GZIP_MAGIC or method != _DEFLATE or flags & _RESERVED:
        raise ImageCorrupt(f"the gzip header names method {method} and flags {flags:#04x}, which nothing can read")
    if flags & _EXTRA_FIELD:
        header += (length := _take(chunks, 2))
        header += _take(chunks, int.from_bytes(length, "little"))
    for text in (_NAME, _COMMENT):
        if flags & text:
            header += _take_text(chunks)
    crc = isal_zlib.crc32(header) & 0xFFFF
    if flags & _HEADER_CRC and int.from_bytes(_take(chunks, 2), "little") != crc:
        raise ImageCorrupt(f"the gzip header before byte {chunks.consumed} does not match its checksum")


def _take(chunks: Chunks, size: int) -> memoryview:
    return chunks.read(size, "a gzip header")


def _take_text(chunks: Chunks) -> bytes:
    text = bytearray()
    while len(text) < _LONGEST_TEXT:
        piece = bytes(chunks.next(_TEXT_PIECE)) or bytes(_take(chunks, 1))
        end = piece.find(0) + 1
        if end:
            chunks.give_back(piece[end:])
            return bytes(text + piece[:end])
        text += piece
    raise ImageCorrupt(f"the name or comment in the gzip header before byte {chunks.consumed} does not end")
