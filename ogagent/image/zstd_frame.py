"""What the first bytes of a zstd frame say, read before a decoder gets them: RFC 8878, 3.1."""

from __future__ import annotations

from typing import Final

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
MAX_FRAME_HEADER: Final = 18  # magic, descriptor, window, dictionary (4), size (8)

_DICTIONARY_SIZES: Final = (0, 1, 2, 4)
_CONTENT_SIZES: Final = (1, 2, 4, 8)  # in a frame of a single segment, which always names its size


def is_zstd(head: bytes) -> bool:
    return head.startswith(ZSTD_MAGIC) or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F)


def window_size(head: bytes) -> int:
    """How much of its own output a frame may refer back to, in bytes; a decoder must keep that much.

    0 for a skippable frame, and for a header that ends too early, which a decoder will say.
    """
    if not head.startswith(ZSTD_MAGIC) or len(head) < 6:
        return 0
    descriptor = head[4]
    if not descriptor & 0x20:
        exponent, mantissa = head[5] >> 3, head[5] & 7
        return (1 << (10 + exponent)) * (8 + mantissa) // 8
    start = 5 + _DICTIONARY_SIZES[descriptor & 3]
    size = _CONTENT_SIZES[descriptor >> 6]
    return int.from_bytes(head[start : start + size], "little") + (256 if size == 2 else 0)
