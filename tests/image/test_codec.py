"""Containers as the real programs write them: whole, in pieces of any size, and damaged."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image.codec import MAX_WINDOW, open_container
from ogagent.image.stream import Chunks
from ogagent.image.zstd_frame import MAX_FRAME_HEADER, window_size
from ogagent.settings import RestoreSettings

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
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=300).stdout


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


def decode(data: bytes, chunk: int = 1 << 20, room: int = 100_003, max_window: int = 1 << 27) -> bytes:
    decoder = open_container(Chunks(cut(data, chunk)), max_window)
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


@pytest.mark.parametrize("garbage", [b"garbage", b"\x28\xb5", b"\x1f", b"\x89LZO"])
def test_something_after_the_end(container: bytes, garbage: bytes) -> None:
    for chunk in (1 << 20, 1000):
        with pytest.raises(ImageCorrupt):
            decode(container + garbage, chunk)


# --- what the programs can be told to write -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("zstd", "--long=27"),
        ("zstd", "--ultra", "-22"),
        ("zstd", "--fast=5"),
        ("zstd", "-T2", "-B65536"),
        ("gzip", "-6", "--rsyncable"),
        ("lzop", "-CC"),
        ("lzop", "-CC", "--crc32"),
        ("lzop", "-F", "-9"),
        ("lzop", "--crc32", "-7"),
    ],
    ids=" ".join,
)
def test_as_it_was_told(command: tuple[str, ...]) -> None:
    assert decode(pack(*command, data=CONTENT), 60_000) == CONTENT


def test_lzop_with_the_name_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / ("sda1." * 40)
    file.write_bytes(CONTENT)
    container = pack("lzop", "-c", str(file), data=b"")
    assert file.name.encode() in container
    assert decode(container) == CONTENT


def test_lzop_files_one_after_another(tmp_path: Path) -> None:
    """As lzop itself does it, whether it has put them together or somebody else has."""
    for name, half in zip("ab", HALVES, strict=True):
        (tmp_path / name).write_bytes(half)
    parts = pack("lzop", "-c", str(tmp_path / "a"), str(tmp_path / "b"), data=b"")
    joined = pack("lzop", data=HALVES[0]) + pack("lzop", "--crc32", data=HALVES[1])
    for container in (parts, joined):
        warned = subprocess.run(["lzop", "-dc"], input=container, capture_output=True, check=False, timeout=300)
        assert (warned.returncode, warned.stdout) == (2, CONTENT)
        assert decode(container, 1000) == CONTENT


# --- the window of zstd -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "size"), [("--long=28", "256.0 MiB"), ("--long=31", "2.0 GiB")])
def test_a_window_larger_than_allowed(option: str, size: str) -> None:
    """In the second frame too: the first is no promise."""
    image = pack("zstd", "--ultra", option, "-1", data=CONTENT)
    for container in (image, pack("zstd", data=_NOISE) + image):
        with pytest.raises(UnknownImage, match=rf"{size}.*restore\.max_window.*128\.0 MiB") as caught:
            decode(container)
        assert caught.value.number == 33
    assert decode(image, max_window=1 << 31) == CONTENT


def test_the_window_that_is_allowed_is_the_settings() -> None:
    assert RestoreSettings().max_window == MAX_WINDOW
    image = pack("zstd", "--long=27", "-1", data=CONTENT)
    assert decode(image, max_window=1 << 27) == CONTENT
    with pytest.raises(UnknownImage, match=r"128\.0 MiB.*64\.0 MiB"):
        decode(image, max_window=1 << 26)


@pytest.mark.parametrize("level", ["-1", "-3", "-19"])
def test_what_a_frame_says_of_its_window_is_what_zstd_says(level: str, tmp_path: Path) -> None:
    for size in (0, 1, 200, 300, 70_000, len(CONTENT)):
        plain = tmp_path / "plain"
        plain.write_bytes(CONTENT[:size])
        for container in (pack("zstd", level, "-c", str(plain), data=b""), pack("zstd", level, data=CONTENT[:size])):
            packed_file = tmp_path / "x.zst"
            packed_file.write_bytes(container)
            listed = pack("zstd", "-lv", str(packed_file), data=b"").decode()
            said = re.search(r"Window Size: .*\((\d+) B\)", listed)
            assert said is None or window_size(container[:MAX_FRAME_HEADER]) == int(said[1])
            assert size == 0 or said is not None


def test_what_is_no_container_comes_as_it_is() -> None:
    assert decode(_NOISE, 1000, 333) == _NOISE
    assert open_container(Chunks(iter([_NOISE]))).container == "none"
    assert decode(b"") == b""
