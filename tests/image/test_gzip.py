"""gzip members with headers of every make, good and bad."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt
from ogagent.image.codec import open_container
from ogagent.image.stream import Chunks
from tests.image.containers import GZIP_FIELDS, gzip_member

CONTENT: Final = b"line of a file that compresses\n" * 300
LONGEST: Final = 128 << 10
ALL: Final = sum(GZIP_FIELDS.values())
HEADER: Final = len(gzip_member(b"", ALL)) - len(gzip_member(b"")) + 10


def decode(data: bytes, chunk: int = 1 << 20) -> bytes:
    decoder = open_container(Chunks(data[at : at + chunk] for at in range(0, len(data), chunk)))
    into = memoryview(bytearray(5000))
    out = bytearray()
    while count := decoder.readinto(into):
        out += into[:count]
    return bytes(out)


@pytest.mark.parametrize("chunk", [1, 11, 4096, 1 << 20])
@pytest.mark.parametrize("option", [(), ("-C", "reference image of aula 3"), ("-C", "x" * 100_000), ("-i",), ("-H",)])
def test_as_pigz_writes_it(option: tuple[str, ...], chunk: int) -> None:
    if shutil.which("pigz") is None:
        pytest.skip("pigz is not installed")
    packed = subprocess.run(["pigz", *option], input=CONTENT, capture_output=True, check=True, timeout=300).stdout
    assert decode(packed, chunk) == CONTENT


@pytest.mark.parametrize("place", range(2, HEADER + 1))
def test_a_header_that_ends_early(place: int) -> None:
    for chunk in (1, 1 << 20):
        with pytest.raises(ImageCorrupt, match="in the middle of a gzip"):
            decode(gzip_member(CONTENT, ALL)[:place], chunk)


@pytest.mark.parametrize("place", range(2, HEADER))
def test_a_header_with_a_checksum_that_is_not_right(place: int) -> None:
    damaged = bytearray(gzip_member(CONTENT, ALL))
    damaged[place] ^= 0x01
    with pytest.raises(ImageCorrupt):
        decode(bytes(damaged))


@pytest.mark.parametrize("texts", [(b"", b""), (b"", b"x"), (b"x" * (LONGEST - 512), b"y" * (LONGEST - 512))])
def test_a_name_of_any_length(texts: tuple[bytes, bytes]) -> None:
    for chunk in (61, 1 << 20):
        assert decode(gzip_member(CONTENT, ALL, texts), chunk) == CONTENT


@pytest.mark.parametrize("texts", [(b"x" * 10_000_000, b""), (b"x", b"y" * 10_000_000)])
def test_a_name_without_end_is_not_read(texts: tuple[bytes, bytes]) -> None:
    taken = 0

    def chunks() -> bytes:
        nonlocal taken
        taken += 4096
        return data[taken - 4096 : taken]

    data = gzip_member(CONTENT, GZIP_FIELDS["FNAME"] | GZIP_FIELDS["FCOMMENT"], texts)
    with pytest.raises(ImageCorrupt, match=r"name or comment.* does not end"):
        open_container(Chunks(iter(chunks, b"")))
    assert taken < LONGEST + 10_000


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"\x1f\x8b\x07\0", "method 7"),
        (b"\x1f\x8b\x08\x20", "flags 0x20"),
        (b"\x1f\x8b\x08\x80", "flags 0x80"),
        (gzip_member(b"", 2)[:10] + b"\0\0", "does not match its checksum"),
    ],
)
def test_headers_that_cannot_be(header: bytes, what: str) -> None:
    with pytest.raises(ImageCorrupt, match=what):
        decode(header + bytes(8) + gzip_member(CONTENT)[10:])


def test_the_second_header_is_looked_at_as_well() -> None:
    with pytest.raises(ImageCorrupt, match="flags 0x40"):
        decode(gzip_member(CONTENT) + b"\x1f\x8b\x08\x40" + bytes(6) + gzip_member(CONTENT)[10:])


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_checksum_and_length_at_the_end(chunk: int) -> None:
    whole = gzip_member(CONTENT, ALL)
    for trailer in ((zlib.crc32(CONTENT) ^ 1, len(CONTENT)), (zlib.crc32(CONTENT), len(CONTENT) + 1)):
        with pytest.raises(ImageCorrupt, match="damaged"):
            decode(whole[:-8] + struct.pack("<II", *trailer), chunk)
