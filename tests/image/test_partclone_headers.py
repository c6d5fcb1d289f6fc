"""Headers of partclone images from anywhere: what is parsed is within bounds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ogagent.errors import ImageCorrupt, ImageError
from ogagent.image.partclone_header import Geometry, parse_header, parse_header_0001
from tests.image.partclone_written import BLOCK, MIB, MODES, as_sealed, header


def check_bounds(parse: Callable[[bytes], Geometry], raw: bytes) -> None:
    try:
        geometry = parse(raw)
    except ImageError:
        return
    assert 512 <= geometry.block_size <= 64 * MIB
    assert 0 < geometry.total_blocks <= 512 * MIB * 8
    assert 0 <= geometry.used_blocks <= geometry.total_blocks
    assert geometry.total_blocks * geometry.block_size <= geometry.device_size < 1 << 63
    assert (geometry.blocks_per_checksum == 0) == (geometry.checksum_mode == 0)
    assert geometry.blocks_per_checksum * geometry.block_size <= 256 * MIB


U16: Final = st.integers(0, 0xFFFF)
U32: Final = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 512, 4096, 64 * MIB, 64 * MIB + 1])
U64: Final = st.integers(0, (1 << 64) - 1) | st.integers(0, 5000)
MODE_AND_SIZE: Final = st.sampled_from(sorted(MODES.items())) | st.tuples(U16, U16)


@given(st.binary(min_size=110, max_size=110))
def test_arbitrary_bytes(raw: bytes) -> None:
    for head in (raw, b"partclone-image\0" + raw[16:30] + b"0002\xde\xc0" + raw[36:]):
        check_bounds(parse_header, head)
        check_bounds(parse_header, as_sealed(head))


@given(st.dictionaries(st.integers(30, 105), st.integers(0, 255), max_size=6))
def test_mutated_headers(changes: dict[int, int]) -> None:
    raw = bytearray(header(1003, 700))
    for place, value in changes.items():
        raw[place] = value
    check_bounds(parse_header, as_sealed(bytes(raw)))
    if bytes(raw) != header(1003, 700):
        with pytest.raises(ImageError):
            parse_header(bytes(raw))


@settings(max_examples=400)
@given(U64, U64, MODE_AND_SIZE, U32, st.integers(0, 255), st.integers(0, 9), U32, st.sampled_from([18, 0]), U64)
def test_headers_of_any_values(
    total: int, used: int, kind: tuple[int, int], group: int, reseed: int, bits: int, block: int, size: int, device: int
) -> None:
    check_bounds(parse_header, header(total, used, *kind, group, reseed, bits, block, size, device))


@given(st.integers(-(1 << 31), (1 << 31) - 1) | st.sampled_from([512, 4096]), U64, U64, U64)
def test_headers_of_format_0001(block: int, device: int, total: int, used: int) -> None:
    raw = struct.pack("<15s15s4s2xiQQQ4096x", b"partclone-image", b"NTFS", b"0001", block, device, total, used)
    check_bounds(parse_header_0001, raw)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (header(0, 0), "no blocks"),
        (header(10, 11), "11 of its 10"),
        (header(10, 5, block=0), "block size"),
        (header(10, 5, block=511), "block size"),
        (header(10, 5, block=64 * MIB + 512), "block size"),
        (header((1 << 32) + 1, 5, device_size=1 << 62), "it has 4294967297 blocks"),
        (header(1 << 60, 5, block=64 * MIB, device_size=(1 << 63) - 1), "do not fit"),
        (header(10, 5, mode=0xFE, size=8), "checksum mode"),
        (header(10, 5, device_size=10 * BLOCK - 1), "do not fit"),
        (header(10, 5, group=0), "0 blocks per checksum"),
        (header(10, 5, size=8), "checksum mode"),
        (header(10, 5, mode=0x32), "checksum mode"),
        (header(10, 5, mode=0xFF), "checksum mode"),
        (header(10, 5, bitmap_mode=8), "bitmap mode"),
        (header(10, 5, bitmap_mode=0), "bitmap mode"),
        (header(10, 5, feature_size=19), "feature section"),
        (header(10, 5, mark=0xBABE), "marker is 0xbabe"),
        (header(1 << 20, 1 << 20, group=1 << 20), "kept in memory"),
        (header(10, 5)[:-1] + b"\0", "does not match its checksum"),
    ],
)
def test_impossible_headers(raw: bytes, what: str) -> None:
    with pytest.raises(ImageCorrupt, match=what):
        parse_header(raw)
