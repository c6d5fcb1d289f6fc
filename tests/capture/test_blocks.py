"""The blocks in use of any partition, as partclone would write them; and what no image is made of."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.capture.blocks import UsedBlocks, of_volume_size, read_head
from ogagent.errors import ModelNotRead
from ogagent.image.frames import Part
from ogagent.image.partclone_header import HEADER_0002, parse_header
from simulator.partclone_writer import UsedBlocks as BlocksInRanges
from simulator.partclone_writer import partclone_image
from tests.capture.in_memory import CONTENT, KIB, SIZE, SOME, Kind, Medium, extents_of, head_of, image_of
from tests.image.partclone_written import MODES

PAGE: Final = 4096


# --- any partition ------------------------------------------------------------------------------------------------


@st.composite
def kinds(draw: st.DrawFn) -> Kind:
    """With a region's end within them, mostly: those are 1 MiB."""
    block = draw(st.sampled_from([512, KIB, 2 * KIB, 4 * KIB, 8 * KIB, 32 * KIB, 64 * KIB]))
    total = draw(st.integers(1, 40) | st.integers(1, min(SIZE // block, 2500)))
    numbers = st.integers(0, total - 1)
    runs = st.lists(st.tuples(numbers, st.integers(1, total)), max_size=6).map(
        lambda some: {number for start, length in some for number in range(start, min(start + length, total))}
    )
    step = st.integers(2, 300).map(lambda each: set(range(0, total, each)))
    used = draw(st.sets(numbers, max_size=40) | runs | step | st.sampled_from([set[int](), set(range(total))]))
    match draw(st.sampled_from(["last used", "last unused", "as it comes"])):
        case "last used":
            used = used | {total - 1}
        case "last unused":
            used = used - {total - 1}
    return Kind(
        *(block, total, sorted(used), draw(st.sampled_from(sorted(MODES)))),
        draw(st.sampled_from([1, 7, 255, 256, 257, 4095, 100_000]) | st.integers(1, 3000)),
        draw(st.booleans()),
    )


KINDS: Final = kinds()


def blocks_of(kind: Kind, device: Medium) -> tuple[UsedBlocks, list[int]]:
    """And how many bytes were told to have been read."""
    read = list[int]()
    return UsedBlocks(head_of(kind), device, read.append), read


@given(KINDS, st.integers(0, 9).map(lambda sectors: sectors * 512))
def test_what_is_written_is_what_partclone_writes(kind: Kind, beyond: int) -> None:
    blocks, read = blocks_of(kind, Medium(min(kind.size + beyond, SIZE)))
    parts = list(blocks.parts())
    assert blocks.contents.head + b"".join(bytes(data) for _, data in parts) == image_of(kind)
    assert {region.number: region.extents for region, _ in parts} == extents_of(kind, blocks.contents.region_size)
    assert all(one.number < other.number for (one, _), (other, _) in pairwise(parts))
    assert blocks.used == sum(read) == len(kind.used) * kind.block
    for region, data in parts:
        assert region.size == len(data)
        held = b"".join(bytes(data[part]) for part in region.blocks)
        assert held == b"".join(CONTENT[at : at + length] for at, _, length in region.extents)


@given(KINDS)
def test_so_does_another_that_writes_them(kind: Kind) -> None:
    usual = kind._replace(mode=0x20, group=256, reseed=True)
    ranges = tuple(range(number, number + 1) for number in kind.used)
    blocks = BlocksInRanges(block_size=kind.block, block_count=kind.total, ranges=ranges)
    written = b"".join(partclone_image(io.BytesIO(CONTENT), blocks, "EXTFS"))
    length = len(head_of(usual))
    made = UsedBlocks(written[:length], Medium(kind.size), lambda _: None)
    assert made.contents.head + b"".join(bytes(data) for _, data in made.parts()) == written


# --- a disk that does not answer ----------------------------------------------------------------------------------


def until_it_fails(blocks: UsedBlocks) -> tuple[list[Part], ModelNotRead | None]:
    parts = []
    try:
        for part in blocks.parts():
            parts.append(part)  # noqa: PERF402 - those before the error count
    except ModelNotRead as error:
        return parts, error
    return parts, None


@given(KINDS, st.data())
def test_a_place_that_cannot_be_read(kind: Kind, data: st.DataObject) -> None:
    """Where nothing is in use it does not matter. Where something is there is an error, and never fewer bytes."""
    start = data.draw(st.integers(0, kind.size // 512 - 1)) * 512
    bad = range(start, start + 512)
    blocks, _ = blocks_of(kind, Medium(kind.size, bad))
    parts, error = until_it_fails(blocks)
    whole = image_of(kind)
    got = blocks.contents.head + b"".join(bytes(data) for _, data in parts)
    if start // kind.block not in kind.used:
        assert (error, got) == (None, whole)
        return
    assert error is not None
    assert got == whole[: len(got)]
    assert len(got) < len(whole)
    words = error.message.split()
    assert words[0] == "bytes"
    assert int(words[1]) <= start < int(words[3]), error.message
    assert "EIO" in error.message
    assert "smartctl" in error.hint


def test_a_head_that_cannot_be_read() -> None:
    assert read_head(Medium(SIZE)) == CONTENT[: 68 * KIB]
    assert read_head(Medium(PAGE)) == CONTENT[:PAGE]
    with pytest.raises(ModelNotRead, match="bytes 0 to 69632 of the partition cannot be read"):
        read_head(Medium(SIZE, range(PAGE, PAGE + 1)))


# --- what cannot be understood ------------------------------------------------------------------------------------


def refused(beginning: bytes, size: int = SIZE) -> ModelNotRead:
    with pytest.raises(ModelNotRead) as caught:
        UsedBlocks(beginning, Medium(size), lambda _: None)
    assert caught.value.hint
    return caught.value


@given(st.integers(0, len(head_of(SOME)) * 8 - 1))
def test_one_bit_of_header_or_bitmap_that_is_another(place: int) -> None:
    damaged = bytearray(head_of(SOME))
    damaged[place // 8] ^= 1 << place % 8
    refused(bytes(damaged))


@given(st.integers(0, len(head_of(SOME)) - 1))
def test_a_beginning_that_ends_too_early(length: int) -> None:
    refused(head_of(SOME)[:length])


@given(st.binary(max_size=300))
def test_a_beginning_that_is_none(noise: bytes) -> None:
    refused(noise)


def test_a_beginning_that_goes_on() -> None:
    """It would come before the blocks, and all of them would lie at another place."""
    assert "its first block begins at byte" in refused(head_of(SOME) + b"\0").message


def test_a_header_without_a_bitmap() -> None:
    """As one is allowed to be when all is in use, and no partclone writes it; alone it is whole."""
    every = Kind(4 * KIB, 300, list(range(300)))
    fields = head_of(every, bitmap_mode=0)[:HEADER_0002]
    blocks = UsedBlocks(fields, Medium(every.size), lambda _: None)
    made = b"".join(bytes(data) for _, data in blocks.parts())
    assert made == image_of(every)[len(head_of(every)) :]
    refused(head_of(every, bitmap_mode=0))


def test_a_bitmap_that_counts_otherwise_than_the_header() -> None:
    less = head_of(SOME._replace(used=SOME.used[:-1]))
    assert "counts" in refused(head_of(SOME)[:HEADER_0002] + less[HEADER_0002:]).message


def test_the_older_format() -> None:
    fields = struct.pack(
        "<15s15s4s2xiQQQ4096x", b"partclone-image", b"EXTFS", b"0001", SOME.block, SOME.size, SOME.total, 2
    )
    beginning = fields + b"\1\1" + bytes(SOME.total - 2) + b"BiTmAgIc"
    assert "format 0001" in refused(beginning).message


def test_blocks_of_which_no_region_holds_whole_ones() -> None:
    assert "1536" in refused(head_of(Kind(1536, 30, [1, 2]))).message


@pytest.mark.parametrize("missing", [1, 512, SOME.block, SOME.size - 1])
def test_a_file_system_that_is_larger_than_its_partition(missing: int) -> None:
    error = refused(head_of(SOME), SOME.size - missing)
    assert f"the partition only {SOME.size - missing} bytes" in error.message
    UsedBlocks(head_of(SOME), Medium(SOME.size), lambda _: None)


# --- a volume that is smaller than its partition ------------------------------------------------------------------


@given(KINDS, st.integers(0, 1 << 50), st.integers(0, 1 << 50))
def test_the_size_that_is_asked_for(kind: Kind, more: int, wanted: int) -> None:
    before, size = head_of(kind, device_size=kind.size + more), kind.size + wanted
    changed = of_volume_size(before, size)
    geometry = parse_header(changed[:HEADER_0002])
    assert geometry == parse_header(before[:HEADER_0002])._replace(device_size=size)
    assert changed[60 : HEADER_0002 - 4] == before[60 : HEADER_0002 - 4]
    assert changed[:52] + changed[HEADER_0002:] == before[:52] + before[HEADER_0002:]
    assert UsedBlocks(changed, Medium(kind.size), lambda _: None).contents.header.device_size == size
