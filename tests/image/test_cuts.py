"""Where the network cuts a stream makes no difference: one byte at a time, and at every single place."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from ogagent.image.codec import open_container
from ogagent.image.stream import Chunks
from tests.fuzz.judge import CORPUS, judge, judge_chunks
from tests.image.containers import every_container

CONTENT: Final = b"line of a file that compresses\n" * 9 + random.Random(6).randbytes(40)
CONTAINERS: Final = dict(every_container(CONTENT))
THOROUGHLY: Final = (
    "gzip members FTEXT FHCRC FEXTRA FNAME FCOMMENT",
    "lzop files",
    "zstd skippable checked=True",
)
"""The others differ from these in nothing that has not been cut at every place already."""
IMAGES: Final = {"0002": ("cat", "0002-crc32"), "0001": ("lzop", "-dc", "0001.lzo")}


def decode(*chunks: bytes) -> bytes:
    decoder = open_container(Chunks(iter(chunks)))
    into = memoryview(bytearray(1000))
    out = bytearray()
    while count := decoder.readinto(into):
        out += into[:count]
    return bytes(out)


def cuts(data: bytes, step: int = 1) -> Iterator[tuple[bytes, bytes]]:
    for place in range(0, len(data) + 1, step):
        yield data[:place], data[place:]


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_tools_read_these_containers_too(name: str) -> None:
    """Else all that follows would prove nothing. lzop warns about a second file, with status 2."""
    program = name.split(maxsplit=1)[0]
    if program == "none" or "ADLER_PACKED" in name:  # lzop stumbles over a stored block behind such a sum
        return
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, "-dc"], input=CONTAINERS[name], capture_output=True, check=False, timeout=300)
    assert (done.stdout, done.returncode) == (CONTENT, 2 if name == "lzop files" else 0), done.stderr


@pytest.mark.parametrize("name", CONTAINERS)
def test_at_every_place_and_byte_by_byte(name: str) -> None:
    container = CONTAINERS[name]
    assert decode(*bytewise(container)) == CONTENT
    for two in cuts(container):
        assert decode(*two) == CONTENT, f"cut at {len(two[0])} of {len(container)}"


@pytest.mark.parametrize("version", IMAGES)
def test_partclone_in_every_container(version: str) -> None:
    if shutil.which(IMAGES[version][0]) is None:
        pytest.skip(f"{IMAGES[version][0]} is not installed")
    image = subprocess.run([*IMAGES[version]], cwd=CORPUS, capture_output=True, check=False, timeout=300).stdout
    written = judge(image)
    assert written
    for name, container in every_container(image):
        assert judge(container, 1) == written, name
        for two in cuts(container, 1 if name in THOROUGHLY else 17):
            assert judge_chunks(iter(two)) == written, f"{name} cut at {len(two[0])}"
