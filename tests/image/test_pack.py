"""Images in frames: the same content to the byte for every tool there is, and each region to be had by itself."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import struct
import subprocess
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from blake3 import blake3

from ogagent.errors import ImageCorrupt, InvalidField
from ogagent.image.codec import MAX_WINDOW
from ogagent.image.detect import open_image
from ogagent.image.index import ImageIndex, Prefix, decode, encode
from ogagent.image.indexed import open_indexed, prove
from ogagent.image.pack import Packing, pack
from ogagent.image.regions import longest_region

MIB: Final = 1 << 20
KIB: Final = 1 << 10
STEP: Final = KIB  # blocks of ext4 are not smaller
NOISE: Final = random.Random(7)
TOOLS: Final = f"{os.environ['PATH']}:/usr/sbin:/sbin"
PARTCLONE: Final = {
    "crc32": (),
    "no checksums": ("-a0",),
    "a checksum a block": ("-a1", "-k1"),
    "7 blocks, running on": ("-a1", "-k7", "-K"),
}


def run(program: str, *arguments: str | Path, feed: bytes | None = None) -> bytes:
    found = shutil.which(program, path=TOOLS)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *arguments], input=feed, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 of 12 MiB with holes between its files."""
    tree, path = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("raw") / "fs.ext4"
    for number in range(9):
        (tree / f"file-{number}").write_bytes(NOISE.randbytes(150_001 * number) + b"words " * 50_000)
    with path.open("xb") as file:
        file.truncate(12 * MIB)
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, path)
    run("debugfs", "-w", "-R", "rm file-3", path)
    return path


@pytest.fixture(scope="module", params=[*PARTCLONE, "0001", "0001 of 2008", "raw"])
def content(request: pytest.FixtureRequest, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is in the container of an image."""
    if request.param == "raw":
        return raw.read_bytes() + b"an end within a region"
    image = tmp_path_factory.mktemp("image") / "x.img"
    options = PARTCLONE.get(request.param, ())
    run("partclone.ext4", "-c", "-s", raw, "-O", image, "-L", image.with_suffix(".log"), "-f", "1", *options)
    if request.param in PARTCLONE:
        return image.read_bytes()
    return as_0001(image.read_bytes(), raw.read_bytes(), bytes(4 * request.param.endswith("2008")))


def as_0001(image: bytes, source: bytes, filler: bytes) -> bytes:
    """The older format: a byte a block, and after each block a checksum of its first byte, repeated."""
    (total,) = struct.unpack_from("<Q", image, 60)
    size = len(source) // total
    used = [image[110 + block // 8] >> block % 8 & 1 for block in range(total)]
    out = struct.pack(
        "<15s15s4s2xiQQQ4096x", b"partclone-image", b"EXTFS", b"0001", size, len(source), total, sum(used)
    )
    parts, value = [out, bytes(used), b"BiTmAgIc"], 0
    for block in (block for block in range(total) if used[block]):
        data = source[block * size : (block + 1) * size]
        value = zlib.crc32(data[:1] * size, value)
        parts += [data, struct.pack("<I", value ^ 0xFFFFFFFF), filler]
    return b"".join(parts)


def packed(image: bytes, region_size: int | None = None, threads: int = 2) -> tuple[bytes, ImageIndex]:
    out = io.BytesIO()
    made = pack("x.img", iter([image[at : at + 99_991] for at in range(0, len(image), 99_991)]), out.write,
                Packing(region_size, 1, threads, MAX_WINDOW))  # fmt: skip
    assert prove(io.BytesIO(out.getvalue()), made.index, threads, lambda _: None) == made.content
    return out.getvalue(), decode(encode(made.index))


def test_the_content_is_that_of_the_original(content: bytes) -> None:
    """All of it, and not only what went into the frames."""
    assert (
        pack("x.img", iter([content]), io.BytesIO().write, Packing(None, 1, 1, MAX_WINDOW)).content
        == blake3(content).digest()
    )


def blocks_by_region(content: bytes, region_size: int) -> dict[int, list[tuple[int, bytes]]]:
    """As the code says that restores a stream: the place and the bytes of all that is used, region by region."""
    image = open_image(iter([content]))
    image.prepare()
    found = defaultdict(list)
    for piece in image.pieces(lambda: memoryview(bytearray(image.buffer_size))):
        for offset, start, length in piece.extents:
            for place in range(offset, offset + length, STEP):
                at = start + place - offset
                data = bytes(piece.buffer[at : min(at + STEP, start + length)])
                found[place // region_size].append((place, data))
    return found


@pytest.mark.parametrize("region_size", [64 * KIB, MIB, 16 * MIB])
def test_each_region_by_itself(content: bytes, region_size: int) -> None:
    file, index = packed(content, region_size)
    expected = blocks_by_region(content, region_size)
    assert list(index.numbers) == sorted(expected)
    offset, length = index.prefix.offset, index.prefix.length
    image = open_indexed(index, file[offset : offset + length])
    for place in NOISE.sample(range(index.count), index.count):
        blocks = expected[index.numbers[place]]
        assert index.hash(place) == blake3(b"".join(data for _, data in blocks)).digest()
        offset, length = index.frame(place)
        data = memoryview(bytearray(longest_region(region_size)))
        region = image.unpack(place, file[offset : offset + length], data)
        region.close_up(data)
        laid_down = [
            (at, bytes(data[start + at - first : start + min(at + STEP - first, size)]))
            for first, start, size in region.extents
            for at in range(first, first + size, STEP)
        ]
        assert laid_down == blocks


def test_a_frame_is_taken_for_its_own_region_only(content: bytes) -> None:
    file, index = packed(content, 64 * KIB)
    image = open_indexed(index, file[: index.prefix.length])
    frames = [file[offset : offset + length] for offset, length in map(index.frame, range(index.count))]
    room = memoryview(bytearray(longest_region(index.region_size)))
    for place in range(index.count):
        image.unpack(place, frames[place], room)
        for wrong in {frames[place][:-1], frames[place] + b"\0", frames[place - 1]} - {frames[place]}:
            if index.hash(place) != index.hash(place - 1):
                with pytest.raises(ImageCorrupt):
                    image.unpack(place, wrong, room)


@pytest.mark.parametrize("content", ["crc32", "0001"], indirect=True)
def test_an_index_that_is_another_images(content: bytes) -> None:
    file, index = packed(content)
    prefix = file[: index.prefix.length]
    others: tuple[dict[str, Any], ...] = (
        {"filesystem": "NTFS"},
        {"device_size": index.device_size + 4096},
        {"used_blocks": index.used_blocks - 1},
        {"checksum_size": 16},
        {"format": "raw"},
        {"regions": index.regions[4:], "frames": index.frames[12:], "hashes": index.hashes[32:]},
        {"prefix": Prefix(0, index.prefix.length, bytes(32))},
    )
    for other in others:
        with pytest.raises(ImageCorrupt):
            open_indexed(msgspec.structs.replace(index, **other), prefix)
    for other in ({"size": index.size + 1}, {"digest": bytes(32)}):
        with pytest.raises(ImageCorrupt):
            prove(io.BytesIO(file), msgspec.structs.replace(index, **other), 1, lambda _: None)


@pytest.mark.parametrize("tool", ["zstd", "lzop", "gzip", "none"])
def test_what_the_real_tools_make_of_it(content: bytes, tool: str) -> None:
    image = content if tool == "none" else run(tool, "-c", feed=content)
    file, index = packed(image)
    assert run("zstd", "-dc", feed=file) == content
    assert (index.image, index.size, index.digest) == ("x.img", len(file), blake3(file).digest())
    header = open_image(iter([file])).header
    assert (header.container, header.format, header.filesystem) == ("zstd", index.format, index.filesystem)


def test_the_real_restore_makes_the_same_of_it(raw: Path, tmp_path: Path) -> None:
    image, log = tmp_path / "x.img", tmp_path / "log"
    run("partclone.ext4", "-c", "-s", raw, "-O", image, "-L", log, "-f", "1")
    file, _ = packed(image.read_bytes())
    outs = []
    for number, data in enumerate((image.read_bytes(), run("zstd", "-dc", feed=file))):
        out = tmp_path / f"out-{number}"
        run("partclone.restore", "-s", "-", "-O", out, "-C", "--restore_raw_file", "-L", log, "-f", "1", feed=data)
        outs.append(hashlib.sha256(out.read_bytes()).digest())
    assert outs[0] == outs[1]


def test_the_number_of_threads_changes_nothing(content: bytes) -> None:
    assert packed(content, threads=1) == packed(content, threads=5)


def test_a_region_that_did_not_change_keeps_its_hash(raw: Path, tmp_path: Path) -> None:
    """And its place, although what comes before it in the stream became longer."""
    image, log, changed = tmp_path / "x.img", tmp_path / "log", tmp_path / "fs.ext4"
    indexes = []
    changed.write_bytes(raw.read_bytes())
    (tmp_path / "new").write_bytes(NOISE.randbytes(200_000))
    for commands in ((), ("rm file-1", f'write "{tmp_path / "new"}" new')):
        for command in commands:
            run("debugfs", "-w", "-R", command, changed)
        run("partclone.ext4", "-c", "-o", image, "-s", changed, "-L", log, "-f", "1", "-O", image)
        _, index = packed(image.read_bytes())
        indexes.append({number: index.hash(place) for place, number in enumerate(index.numbers)})
    old, new = indexes
    same = [number for number in new if old.get(number) == new[number]]
    assert len(new) - len(same) in range(1, 6)
    assert len(same) > 4


@pytest.mark.parametrize("content", ["crc32", "7 blocks, running on", "0001"], indirect=True)
def test_a_damaged_image_is_not_packed(content: bytes) -> None:
    damaged = bytearray(content)
    damaged[-3] ^= 1
    with pytest.raises(ImageCorrupt):
        packed(bytes(damaged))
    with pytest.raises(ImageCorrupt):
        packed(content[:-1])
    with pytest.raises(ImageCorrupt):
        packed(content + b"\0")


def test_regions_hold_whole_blocks() -> None:
    total, size = 2, 2 * MIB
    fields = struct.pack("<16s14s4sH16sQQQQIIHHHHIBB", b"partclone-image", b"0.3.40", b"0002", 0xC0DE, b"NTFS",
                         total * size, total, 2, 2, size, 18, 2, 64, 0, 0, 0, 1, 1)  # fmt: skip

    def crc(data: bytes) -> bytes:
        return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)

    image = fields + crc(fields) + b"\3" + crc(b"\3") + NOISE.randbytes(2 * size)
    with pytest.raises(InvalidField, match="whole blocks of 2097152"):
        packed(image, MIB)
    assert packed(image)[1].region_size == size
