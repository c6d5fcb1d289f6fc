"""What may stand after the end of an image file: what the programs that unpack it take, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt
from ogagent.image.codec import open_container
from ogagent.image.stream import Chunks
from tests.image.containers import gzip_member, lzop_file, zstd_frame

CONTENT: Final = b"line of a file that compresses\n" * 300
ZEROS: Final = (b"\0", bytes(2), bytes(511), bytes(10240), bytes(300_000))
LINES: Final = (b"\n", b"\r\n", b"\0\n", bytes(512) + b"\n", bytes(200_000) + b"\r\n")
RUBBISH: Final = (
    b"x", b"garbage\n", b"\n\n", b"\n\0", b"\r", b"\n\r", b"\0x", bytes(512) + b"\nx", bytes(200_000) + b"x",
    b"\x1f", b"\x28\xb5", b"\x89LZO", b"<html>", bytes(512) + gzip_member(CONTENT), bytes(4) + lzop_file(CONTENT),
)  # fmt: skip
PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": gzip_member, "lzop": lzop_file, "zstd": zstd_frame}
PADDED: Final = ("gzip", "lzop")


def decode(chunks: Iterator[bytes]) -> bytes:
    decoder = open_container(Chunks(chunks))
    into = memoryview(bytearray(5000))
    out = bytearray()
    while count := decoder.readinto(into):
        out += into[:count]
    assert decoder.readinto(into) == 0
    return bytes(out)


def cut(data: bytes, chunk: int) -> Iterator[bytes]:
    return (data[at : at + chunk] for at in range(0, len(data), chunk))


def unpacked(program: str, data: bytes) -> tuple[int, bytes]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, "-dc"], input=data, capture_output=True, check=False, timeout=300)
    return done.returncode, done.stdout


@pytest.mark.parametrize("program", PADDED)
@pytest.mark.parametrize("zeros", ZEROS, ids=len)
def test_zeros_as_of_a_tape(program: str, zeros: bytes) -> None:
    data = PACKERS[program](CONTENT) + zeros
    assert unpacked(program, data) == (0, CONTENT)
    for chunk in (97, 1 << 20):
        assert decode(cut(data, chunk)) == CONTENT


@pytest.mark.parametrize("program", PADDED)
@pytest.mark.parametrize("line", LINES, ids=len)
def test_a_line_end(program: str, line: bytes) -> None:
    """The programs complain, but have given out everything: what reads from the pipe has the whole image."""
    data = PACKERS[program](CONTENT) + line
    status, content = unpacked(program, data)
    assert (status in (1, 2), content) == (True, CONTENT)
    for chunk in (97, len(data) - 1, 1 << 20):
        assert decode(cut(data, chunk)) == CONTENT


@pytest.mark.parametrize("program", PADDED)
@pytest.mark.parametrize("chunk", [1, 7, 4096, 1 << 20])
def test_anything_else_is_refused(program: str, chunk: int) -> None:
    whole = PACKERS[program](CONTENT)
    for rubbish in RUBBISH if chunk > 7 else RUBBISH[:7]:
        with pytest.raises(ImageCorrupt, match=f"at byte {len(whole)}, the image goes on") as refused:
            decode(cut(whole + rubbish, chunk))
        assert f"truncate --size={len(whole)} " in refused.value.hint


@pytest.mark.parametrize("chunk", [1, 4096])
def test_zstd_takes_nothing(chunk: int) -> None:
    whole = zstd_frame(CONTENT)
    for more in (*ZEROS[:3], *LINES[:4], *RUBBISH[:8]):
        assert unpacked("zstd", whole + more)[0] == 1
        with pytest.raises(ImageCorrupt, match=f"at byte {len(whole)}, the image goes on"):
            decode(cut(whole + more, chunk))


def test_zeros_without_end_are_not_read_for_ever() -> None:
    taken = 0

    def chunks() -> bytes:
        nonlocal taken
        taken += len(zeros)
        return gzip_member(CONTENT) if taken == len(zeros) else zeros

    zeros = bytes(8 << 20)
    with pytest.raises(ImageCorrupt, match="the image goes on"):
        decode(iter(chunks, b""))
    assert taken <= (1 << 30) + 3 * len(zeros)
