"""Frames unpacked into memory that is there already, by the library that the zstd program uses."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.errors import ImageCorrupt
from ogagent.image import libzstd
from ogagent.image.seekable import pack_frame, unpack_frame, unpack_into

if sys.version_info >= (3, 14):
    from compression import zstd
    from compression.zstd import CompressionParameter
else:
    from backports import zstd
    from backports.zstd import CompressionParameter

MIB: Final = 1 << 20
CONTENT: Final = random.Random(4).randbytes(300_000) + bytes(200_000) + b"text of all kinds, " * 9000


def room(size: int) -> memoryview:
    return memoryview(bytearray(size))


@pytest.mark.parametrize("level", [1, 3, 19])
def test_what_was_packed(level: int) -> None:
    frame = pack_frame(CONTENT, level)
    for view in (frame, memoryview(bytearray(frame))):
        into = room(len(CONTENT) + 100)
        assert unpack_into(view, into, checked=True) == len(CONTENT)
        assert into[: len(CONTENT)] == CONTENT


@pytest.mark.parametrize("options", [["--long=27"], ["-19"], ["--no-check"], ["-1"], ["--no-content-size"]])
def test_frames_of_the_zstd_program(options: list[str]) -> None:
    frame = subprocess.run(["zstd", "-qc", *options], input=CONTENT, capture_output=True, check=True).stdout
    assert unpack_frame(frame, len(CONTENT)) == CONTENT


def test_only_as_much_as_there_is_room_for() -> None:
    frame = pack_frame(CONTENT, 1)
    behind = bytearray(len(CONTENT) + MIB)
    with pytest.raises(ImageCorrupt, match="size"):
        unpack_into(frame, memoryview(behind)[: len(CONTENT) - 1], checked=True)
    assert not any(behind[len(CONTENT) - 1 :])


def bomb(size: int, window_log: int) -> bytes:
    """A frame that does not say how large it becomes, and asks for a window."""
    packer = zstd.ZstdCompressor(options={CompressionParameter.window_log: window_log})
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


def test_a_frame_that_becomes_too_large() -> None:
    with pytest.raises(ImageCorrupt, match="too small"):
        unpack_into(bomb(64 * MIB, 27), room(MIB), checked=False)


def test_what_is_no_frame() -> None:
    frame = pack_frame(b"x" * 1000, 3)
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    older = bytes.fromhex("27b52ffd") + frame[4:]  # the magic number of zstd 0.7
    for wrong in (b"", b"\0", frame[:-1], frame + b"\0", frame + frame, skippable, skippable + frame, older):
        with pytest.raises(ImageCorrupt):
            unpack_into(wrong, room(4000), checked=True)
    with pytest.raises(ImageCorrupt):
        unpack_into(frame, room(0), checked=True)


def test_the_checksum_in_the_frame_counts_where_there_is_no_better_proof() -> None:
    frame = bytearray(pack_frame(CONTENT, 3))
    frame[-1] ^= 1
    with pytest.raises(ImageCorrupt, match="checksum"):
        unpack_into(bytes(frame), room(MIB), checked=True)
    assert unpack_into(bytes(frame), room(MIB), checked=False) == len(CONTENT)
    with pytest.raises(ImageCorrupt, match="checksum"):
        unpack_into(bytes(frame), room(MIB), checked=True)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_arbitrary_bytes(data: bytes, place: int) -> None:
    frame = bytearray(pack_frame(data * 5, 3))
    frame[place % len(frame)] ^= 0x55
    for wrong in (data, b"\x28\xb5\x2f\xfd" + data, bytes(frame)):
        with pytest.raises(ImageCorrupt):
            unpack_into(wrong, room(2000), checked=True)


def test_several_threads_at_once() -> None:
    frames = {seed: pack_frame(random.Random(seed).randbytes(70_000) * 8, 1) for seed in range(8)}
    wrong = []

    def unpack(seed: int) -> None:
        into = room(MIB)
        for _ in range(20):
            size = libzstd.unpack(frames[seed], into, checked=True)
            if into[:size] != random.Random(seed).randbytes(70_000) * 8:
                wrong.append(seed)

    threads = [threading.Thread(target=unpack, args=[seed]) for seed in frames]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
