"""An image of format 0002, the partition before it, and what it must restore to."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Final

MIB: Final = 1 << 20
SIZE: Final = 12 * MIB
BLOCK: Final = 4096
TOTAL: Final = SIZE // BLOCK
GROUP: Final = 16
HEAD: Final = TOTAL // 12  # blocks in the first MiB
BITMAP: Final = 110
BLOCKS: Final = BITMAP + TOTAL // 8 + 4
BEFORE: Final = b"\xaa" * SIZE
ZEROS: Final = bytes(MIB)
RANDOM: Final = random.Random(5)
CONTENT: Final = RANDOM.randbytes(SIZE)
USED: Final = [0, 1, 16, *range(20, 70), *range(HEAD - 3, 400), *range(401, TOTAL - 700, 2), *range(TOTAL - 600, TOTAL)]


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def block(number: int) -> bytes:
    return CONTENT[number * BLOCK : (number + 1) * BLOCK]


def partclone(total: int = TOTAL) -> bytes:
    """Format 0002, as partclone's IMAGE_FORMATS.md has it."""
    fields = struct.pack(
        "<16s14s4sH16sQQQQIIHHHHIBB",
        *(b"partclone-image", b"0.3.40", b"0002", 0xC0DE, b"EXTFS", total * BLOCK, total, len(USED), len(USED), BLOCK),
        *(18, 2, 64, 0x20, 4, GROUP, 1, 1),
    )
    bits: bytes = sum(1 << number for number in USED).to_bytes(total // 8, "little")
    groups = (b"".join(map(block, USED[start : start + GROUP])) for start in range(0, len(USED), GROUP))
    return fields + crc(fields) + bits + crc(bits) + b"".join(group + crc(group) for group in groups)


PAGES: Final = [MIB, 2 * MIB, 4 * MIB, SIZE - 386 * BLOCK]
"""Between the first and the last MiB: where the headers of LUKS2, VMFS and Promise's RAIDs stand."""
EDGES: Final = [range(MIB), *(range(page, page + BLOCK) for page in PAGES), range(SIZE - MIB, SIZE)]


def at_edge(offset: int) -> bool:
    return any(offset in edge for edge in EDGES)


IMAGE: Final = partclone()
RESTORED: Final[bytes] = b"".join(
    block(number) if number in set(USED) else (bytes(BLOCK) if at_edge(number * BLOCK) else BEFORE[:BLOCK])
    for number in range(TOTAL)
)


def raw_ext4(size: int) -> bytes:
    data = bytearray(CONTENT[:size])
    struct.pack_into("<4xI16xI", data, 1024, 8 * MIB // BLOCK, 2)
    struct.pack_into("<H", data, 1024 + 56, 0xEF53)
    struct.pack_into("<II", data, 1024 + 92, 0, 0x40)
    return bytes(data)


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    return data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]
