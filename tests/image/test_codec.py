"""Containers as the real programs write them: whole, in pieces of any size, and damaged."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt
from ogagent.image.codec import open_container
from ogagent.image.stream import Chunks

_RANDOM: Final = random.Random(1)
_TEXT: Final = b"".join(b"line %d of a file that compresses\n" % number for number in range(6000))
_NOISE: Final = _RANDOM.randbytes(300_000)
CONTENT: Final = _TEXT + bytes(100_000) + _NOISE
HALVES: Final = (CONTENT[:250_001], CONTENT[250_001:])
SKIPPABLE: Final = b"\x5a\x2a\x4d\x18" + (100).to_bytes(4, "little") + bytes(100)  # RFC 8878, 3.1.2

KINDS: Final = {
    "zstd": "zstd",
    "zstd-19": "zstd",
    "zstd-no-check": "zstd",
    "zstd-frames": "zstd",
    "zstd-skippable": "zstd",
    "gzip-1": "gzip",
    "gzip-9": "gzip",
    "gzip-members": "gzip",
    "lzop-1": "lzop",
    "lzop-3": "lzop",
    "lzop-9": "lzop",
    "lzop-crc32": "lzop",
    "lzop-F": "lzop",
    "lzop-stored": "lzop",
}
WITHOUT_CHECKSUM: Final = ("zstd-no-check", "lzop-F")


def pack(*command: str, data: bytes) -> bytes:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout


def packed(kind: str) -> bytes:
    program, _, option = kind.partition("-")
    match option:
        case "":
            return pack(program, data=CONTENT)
        case "frames" | "members":
            return b"".join(pack(program, data=half) for half in HALVES)
        case "skippable":
            frames = [pack(program, data=half) for half in HALVES]
            return SKIPPABLE + frames[0] + SKIPPABLE + SKIPPABLE + frames[1] + SKIPPABLE
        case "stored":
            return pack(program, data=_NOISE)
        case "crc32" | "no-check":
            return pack(program, f"--{option}", data=CONTENT)
        case _:
            return pack(program, f"-{option}", data=CONTENT)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def container(kind: str) -> bytes:
    return packed(kind)


def content_of(kind: str) -> bytes:
    return _NOISE if kind == "lzop-stored" else CONTENT


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
        yield b""  # an empty chunk means nothing


def decode(data: bytes, chunk: int = 1 << 20, room: int = 100_003) -> bytes:
    decoder = open_container(Chunks(cut(data, chunk)))
    into = memoryview(bytearray(room))
    out = bytearray()
    while count := decoder.readinto(into):
        out += into[:count]
    assert decoder.readinto(into) == 0
    return bytes(out)


@pytest.mark.parametrize(("chunk", "room"), [(1 << 20, 1 << 20), (4093, 5001), (65536, 513), (13, 1 << 20)])
def test_whole(kind: str, container: bytes, chunk: int, room: int) -> None:
    assert open_container(Chunks(iter([container]))).container == KINDS[kind]
    assert decode(container, chunk, room) == content_of(kind)


def test_byte_by_byte(kind: str, container: bytes) -> None:
    assert decode(container, 1) == content_of(kind)


def ends_early_but_whole(kind: str, container: bytes) -> set[int]:
    """Where a file of several members may be cut without anybody being able to tell."""
    if not kind.endswith(("frames", "members", "skippable")):
        return set()
    program = KINDS[kind]
    first, last = (len(pack(program, data=half)) for half in HALVES)
    if kind != "zstd-skippable":
        return {first}
    skip = len(SKIPPABLE)
    return {skip, skip + first, 2 * skip + first, 3 * skip + first, 3 * skip + first + last}


def test_truncated(kind: str, container: bytes) -> None:
    end = len(container)
    places = {*range(9, 120), *range(end - 120, end), *_RANDOM.sample(range(9, end), 60)}
    whole = ends_early_but_whole(kind, container)
    for place in sorted((places | {at + step for at in whole for step in (-4, -1, 1, 2, 4)}) - whole):
        with pytest.raises(ImageCorrupt) as caught:
            decode(container[:place], 50_000)
        assert caught.value.number == 33


def test_flipped_bits(kind: str, container: bytes) -> None:
    """Some bits mean nothing (a time stamp, a skippable frame), so the content may also be what it was."""
    end = len(container)
    found = 0
    places = {*range(9, 64), *range(end - 32, end), *_RANDOM.sample(range(9, end), 100)}
    for place in sorted(places):
        damaged = bytearray(container)
        damaged[place] ^= 1 << _RANDOM.randrange(8)
        try:
            out = decode(bytes(damaged), 50_000)
        except ImageCorrupt:
            found += 1
        else:
            assert kind in WITHOUT_CHECKSUM or out == content_of(kind), f"bit flipped in byte {place}"
    assert found


@pytest.mark.parametrize("garbage", [b"\0", b"\0" * 4096, b"garbage", b"\x28\xb5", b"\x1f", b"\x89LZO"])
def test_something_after_the_end(container: bytes, garbage: bytes) -> None:
    for chunk in (1 << 20, 1000):
        with pytest.raises(ImageCorrupt):
            decode(container + garbage, chunk)


def test_a_window_that_nobody_has_memory_for() -> None:
    image = pack("zstd", "--long=28", "-1", data=CONTENT)
    with pytest.raises(ImageCorrupt, match="zstd"):
        decode(image)


def test_what_is_no_container_comes_as_it_is() -> None:
    assert decode(_NOISE, 1000, 333) == _NOISE
    assert open_container(Chunks(iter([_NOISE]))).container == "none"
    assert decode(b"") == b""


def test_lzop_block_of_an_impossible_size() -> None:
    container = pack("lzop", data=_TEXT[:1000])
    place = container.rindex((1000).to_bytes(4, "big"))
    for size in (0xFFFFFFFF, (64 << 20) + 1, 999, 1001):
        damaged = container[:place] + size.to_bytes(4, "big") + container[place + 4 :]
        with pytest.raises(ImageCorrupt):
            decode(damaged)
