"""A partition in memory, and the image that partclone makes of it: header, bitmap, blocks and checksums."""

from __future__ import annotations

import random
import zlib
from itertools import groupby
from typing import Any, Final, NamedTuple

import xxhash

from ogagent.errors import WriteFailed
from ogagent.image.piece import Extent
from tests.image.partclone_written import MODES, crc, header

KIB: Final = 1 << 10
MIB: Final = 1 << 20
SIZE: Final = 5 * MIB
CONTENT: Final = random.Random(17).randbytes(SIZE)


class Medium:
    """Implements ``ogagent.disk.machine.Device`` over memory; any read that meets ``bad`` is refused."""

    def __init__(self, size: int, bad: range = range(0)) -> None:
        self.size = size
        self._bad = bad

    def read_back(self, offset: int, into: memoryview) -> None:
        assert 0 <= offset < offset + len(into) <= self.size
        if max(offset, self._bad.start) < min(offset + len(into), self._bad.stop):
            raise WriteFailed(f"reading back medium at offset {self._bad.start} failed: Input/output error (EIO)")
        into[:] = CONTENT[offset : offset + len(into)]

    def write(self, offset: int, data: memoryview) -> None:
        raise AssertionError(f"{len(data)} bytes are written to a model, at {offset}")

    def zero(self, offset: int, length: int) -> None:
        raise AssertionError(f"{length} bytes of a model are overwritten, at {offset}")

    def flush(self) -> None:
        raise AssertionError("there is nothing to flush")


class Kind(NamedTuple):
    """Of an image; ``used`` are the numbers of its blocks, in order."""

    block: int
    total: int
    used: list[int]
    mode: int = 0x20
    group: int = 256
    reseed: bool = True

    @property
    def size(self) -> int:
        return self.block * self.total

    def data(self, number: int) -> bytes:
        return CONTENT[number * self.block : (number + 1) * self.block]


def sums(kind: Kind, strips: list[bytes]) -> list[bytes]:
    """As a little-endian machine stores them."""
    value, running, found = 0, xxhash.xxh64() if kind.mode == 0x30 else xxhash.xxh3_128(), []
    for strip in strips:
        if kind.reseed:
            value = 0
            running.reset()
        value = zlib.crc32(strip, value)
        running.update(strip)
        number = value ^ 0xFFFFFFFF if kind.mode == 0x20 else running.intdigest()
        found.append(number.to_bytes(MODES[kind.mode], "little") if kind.mode else b"")
    return found


def head_of(kind: Kind, **changes: Any) -> bytes:
    bits = sum(1 << number for number in kind.used).to_bytes(-(-kind.total // 8), "little")
    size, group = MODES[kind.mode], kind.group if kind.mode else 0
    fields = header(
        kind.total, len(kind.used), kind.mode, size, group, int(kind.reseed), **{"block": kind.block, **changes}
    )
    return fields + bits + crc(bits)


def image_of(kind: Kind) -> bytes:
    group = kind.group if kind.mode else max(len(kind.used), 1)
    groups = (kind.used[start : start + group] for start in range(0, len(kind.used), group))
    strips = [b"".join(map(kind.data, numbers)) for numbers in groups]
    return head_of(kind) + b"".join(strip + each for strip, each in zip(strips, sums(kind, strips), strict=True))


def extents_of(kind: Kind, region_size: int) -> dict[int, list[Extent]]:
    """By region, block by block."""
    found = dict[int, list[Extent]]()
    for region, numbers in groupby(kind.used, lambda number: number * kind.block // region_size):
        extents = found.setdefault(region, [])
        for number in numbers:
            last = extents[-1] if extents else None
            if last is not None and last.offset + last.length == number * kind.block:
                extents[-1] = last._replace(length=last.length + kind.block)
            else:
                start = last.start + last.length if last else 0
                extents.append(Extent(number * kind.block, start, kind.block))
    return found


SOME: Final = Kind(4 * KIB, 300, [*range(9), *range(40, 290, 3)])
