"""Runs of used blocks, found in a bitmap without looking at single blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ogagent.image.piece import Extent

Bitmap = bytes | bytearray

_STEP: Final = 4096  # bytes of bitmap turned into text at a time
_COUNTED: Final = 64 << 10  # bytes of bitmap counted at a time
_OTHERS: Final = {0x00: re.compile(rb"[^\x00]"), 0xFF: re.compile(rb"[^\xff]")}
_AS_DIGITS: Final = bytes(0x31 if value == 1 else 0x30 for value in range(256))


def pack(parts: Iterable[bytes]) -> bytes:
    """From one byte a block to one bit. Only 1 means used: old images hold other values, and partclone skips them.

    Each part but the last must have a multiple of 8 bytes.
    """
    packed = bytearray()
    for part in parts:
        digits = part.translate(_AS_DIGITS)[::-1]
        packed += int(digits, 2).to_bytes(-(-len(part) // 8), "little")
    return bytes(packed)


def count_used(bitmap: Bitmap, total: int) -> int:
    """Bits set among the first ``total``; what stands after them does not count."""
    whole, rest = divmod(total, 8)
    steps = (bitmap[at : min(at + _COUNTED, whole)] for at in range(0, whole, _COUNTED))
    used = sum(int.from_bytes(step, "little").bit_count() for step in steps)
    return used + ((bitmap[whole] & ((1 << rest) - 1)).bit_count() if rest else 0)


def part(bitmap: Bitmap, first: int, count: int) -> bytes:
    """``count`` bits from bit ``first`` on, as a bitmap of their own."""
    if first % 8 == 0 and count % 8 == 0:
        return bytes(bitmap[first // 8 : (first + count) // 8])
    bits = int.from_bytes(bitmap[first // 8 : -(-(first + count) // 8)], "little") >> first % 8
    return (bits & ((1 << count) - 1)).to_bytes(-(-count // 8), "little")


def counts(bitmap: Bitmap, total: int, group: int) -> Iterator[tuple[int, int, int]]:
    """The bits in groups of ``group``, of which the last may be shorter: the number of the first of some neighbouring
    groups, how many they are, and how many bits of each are set. Together they are all groups, in order.
    """
    groups = -(-total // group)
    number = 0
    while number < groups:
        first = number * group
        alike = _alike(bitmap, first // 8, total // 8) // (group // 8) if group % 8 == 0 else 0
        if alike:
            yield number, alike, group if bitmap[first // 8] else 0
        else:
            bits = part(bitmap, first, min(group, total - first))
            yield number, 1, int.from_bytes(bits, "little").bit_count()
        number += alike or 1


def _alike(bitmap: Bitmap, start: int, stop: int) -> int:
    """How many bytes, from ``start`` on and before ``stop``, are all empty or all full."""
    if start == stop or bitmap[start] not in _OTHERS:
        return 0
    other = _OTHERS[bitmap[start]].search(bitmap, start, stop)
    return (other.start() if other else stop) - start


def runs(bitmap: Bitmap, total: int) -> Iterator[tuple[int, int]]:
    """First block and length of each run of set bits (bit 0 of byte 0 is block 0), in order."""
    open_at: int | None = None
    for at in range(0, -(-total // 8), _STEP):
        base = at * 8
        part = bitmap[at : at + _STEP]
        # str.find is the fastest way through bits that Python has: 8 bits a byte, searched at memory speed
        bits = format(int.from_bytes(part, "little"), f"0{len(part) * 8}b")[::-1][: total - base]
        place = 0
        while place < len(bits):
            if open_at is None:
                place = bits.find("1", place)
                if place < 0:
                    break
                open_at = base + place
            end = bits.find("0", place)
            if end < 0:
                break
            yield open_at, base + end - open_at
            open_at = None
            place = end
    if open_at is not None:
        yield open_at, total - open_at


def places(bitmap: Bitmap, total: int, block_size: int, blocks_per_piece: int) -> Iterator[list[Extent]]:
    """The used blocks, ``blocks_per_piece`` at a time, as extents in bytes."""
    piece: list[Extent] = []
    filled = 0
    for first, length in runs(bitmap, total):
        while length:
            count = min(length, blocks_per_piece - filled)
            piece.append(Extent(first * block_size, filled * block_size, count * block_size))
            first, length, filled = first + count, length - count, filled + count  # noqa: PLW2901
            if filled == blocks_per_piece:
                yield piece
                piece, filled = [], 0
    if piece:
        yield piece
