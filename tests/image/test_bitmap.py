"""Runs of used blocks against a loop over single blocks."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.image import bitmap

STEP: Final = 4096 * 8  # blocks that are looked at in one go


def used_blocks(bits: bytes, total: int) -> list[int]:
    return [block for block in range(total) if bits[block // 8] >> block % 8 & 1]


@st.composite
def bitmaps(draw: st.DrawFn) -> tuple[bytes, int]:
    """Random bytes, or long stretches of full and empty ones, which cross the borders of a step."""
    stretches = st.tuples(st.sampled_from([b"\0", b"\xff", b"\x01", b"\x80", b"\x7f"]), st.integers(1, 5000))
    bits = draw(st.binary(max_size=40)) + b"".join(
        byte * count for byte, count in draw(st.lists(stretches, max_size=3))
    )
    return bits, draw(st.integers(max(0, len(bits) * 8 - 7), len(bits) * 8))


@given(bitmaps())
def test_count_used(drawn: tuple[bytes, int]) -> None:
    assert bitmap.count_used(*drawn) == len(used_blocks(*drawn))


@given(bitmaps())
def test_runs_are_the_used_blocks_and_as_long_as_can_be(drawn: tuple[bytes, int]) -> None:
    found = list(bitmap.runs(*drawn))
    assert [block for first, length in found for block in range(first, first + length)] == used_blocks(*drawn)
    assert all(length > 0 for _, length in found)
    assert all(first + length < after for (first, length), (after, _) in pairwise(found))


@given(bitmaps(), st.integers(1, 3000), st.sampled_from([512, 4096]))
def test_places(drawn: tuple[bytes, int], per_piece: int, block_size: int) -> None:
    used = used_blocks(*drawn)
    pieces = list(bitmap.places(*drawn, block_size, per_piece))
    assert len(pieces) == -(-len(used) // per_piece)
    for number, extents in enumerate(pieces):
        expected = used[number * per_piece : (number + 1) * per_piece]
        offsets = [at for extent in extents for at in range(extent.offset, extent.offset + extent.length, block_size)]
        assert offsets == [block * block_size for block in expected]
        starts = [extent.start for extent in extents]
        assert starts == [sum(extent.length for extent in extents[:index]) for index in range(len(extents))]


@given(bitmaps(), st.one_of(st.integers(1, 300), st.sampled_from([8, 16, 64, 256, 4096])))
def test_counts(drawn: tuple[bytes, int], group: int) -> None:
    bits, total = drawn
    used = Counter(block // group for block in used_blocks(*drawn))
    found = list(bitmap.counts(bits, total, group))
    assert [number for first, count, _ in found for number in range(first, first + count)] == list(
        range(-(-total // group))
    )
    assert all(used[number] == each for first, count, each in found for number in range(first, first + count))


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_groups_that_are_alike_are_counted_at_once(byte: bytes) -> None:
    """However large a partition is: a disk of 2 TiB in regions of 1 MiB has two million."""
    bits = byte * 1000 + b"\x01" + byte * 1000
    full = 256 if byte == b"\xff" else 0
    mixed = full - 7 if full else 1
    assert list(bitmap.counts(bits, len(bits) * 8 - 3, 256)) == [
        (0, 31, full),
        (31, 1, mixed),
        (32, 30, full),
        (62, 1, (len(bits) * 8 - 3 - 62 * 256) if full else 0),
    ]


@given(bitmaps(), st.integers(0, 100), st.integers(1, 300))
def test_part(drawn: tuple[bytes, int], first: int, count: int) -> None:
    bits, total = drawn
    first, count = min(first, total), min(count, max(total - first, 0))
    found = bitmap.part(bits, first, count)
    assert len(found) == -(-count // 8)
    assert used_blocks(found, count) == [at - first for at in used_blocks(*drawn) if first <= at < first + count]


@pytest.mark.parametrize("first", [0, STEP - 2, STEP - 1])
@pytest.mark.parametrize("last", [STEP - 1, STEP, 2 * STEP, 2 * STEP + 3])
def test_a_run_across_the_border_of_a_step(first: int, last: int) -> None:
    bits = sum(1 << block for block in range(first, last + 1)).to_bytes(2 * STEP // 8 + 1, "little")
    assert list(bitmap.runs(bits, 2 * STEP + 4)) == [(first, last + 1 - first)]


@given(
    st.lists(st.binary(min_size=1, max_size=8).map(lambda part: part * 8), max_size=4),
    st.binary(min_size=1, max_size=20),
)
def test_pack_takes_only_1_for_used(parts: list[bytes], last: bytes) -> None:
    whole = b"".join((*parts, last))
    packed = bitmap.pack([*parts, last])
    assert len(packed) == -(-len(whole) // 8)
    assert used_blocks(packed, len(whole)) == [block for block, value in enumerate(whole) if value == 1]
