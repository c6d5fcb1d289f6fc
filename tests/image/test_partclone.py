"""partclone images: restored as the real ``partclone.restore`` does it, or as their description says."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Final

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from ogagent.errors import ImageCorrupt, ImageError
from ogagent.image.detect import open_image
from ogagent.image.partclone_header import Geometry, parse_header, parse_header_0001

MIB: Final = 1 << 20
NOISE: Final = random.Random(3)
OPTIONS: Final = (
    ("-a0",),
    ("-a1", "-k1"),
    ("-a1", "-k7", "-K"),
    ("-a1", "-k100000"),
)


def restored(image: Path | bytes) -> bytes:
    """The partition, over zeros, as the pieces of the image say; each proven before it counts."""
    data = image.read_bytes() if isinstance(image, Path) else image
    opened = open_image(data[start : start + 100_003] for start in range(0, len(data), 100_003))
    total = opened.prepare()
    out = bytearray(opened.header.device_size)
    prove = opened.prover()
    places = []
    written = 0
    for piece in opened.pieces(lambda: memoryview(bytearray(opened.buffer_size))):
        prove(piece)
        for offset, start, length in piece.extents:
            out[offset : offset + length] = piece.buffer[start : start + length]
            written += length
        places.append(piece.extents)
    assert written == total
    assert list(opened.places()) == places
    return bytes(out)


# --- real file systems and the real partclone ---------------------------------------------------------------------


def run(program: str, *arguments: str | Path) -> None:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{program}: {done.stdout.decode()}{done.stderr.decode(errors='replace')}"


def sparse(path: Path, size: int) -> Path:
    with path.open("xb") as file:
        file.truncate(size)
    return path


def make_ext4(raw: Path, tree: Path) -> None:
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, sparse(raw, 8 * MIB))


def make_ntfs(raw: Path, tree: Path) -> None:
    run("mkfs.ntfs", "-qFf", sparse(raw, 8 * MIB))
    for file in tree.iterdir():
        run("ntfscp", raw, file, file.name)


def make_vfat(raw: Path, tree: Path) -> None:
    """With files that mkfs.vfat cannot put in: chains of clusters in both FATs, and their data."""
    run("mkfs.vfat", "-F", "16", "-s", "4", sparse(raw, 20 * MIB))
    data = bytearray(raw.read_bytes())
    (reserved, copies, entries, sectors) = struct.unpack_from("<HBH3xH", data, 14)
    for copy in range(copies):
        for cluster in range(10, 400):
            following = cluster + 1 if cluster < 399 else 0xFFFF
            struct.pack_into("<H", data, (reserved + copy * sectors) * 512 + 2 * cluster, following)
    first = (reserved + copies * sectors) * 512 + entries * 32
    root = (reserved + copies * sectors) * 512
    data[root + 32 : root + 64] = struct.pack("<11sB14xHI", b"FILE    BIN", 0x20, 10, 390 * 2048)
    data[first + 8 * 2048 : first + 398 * 2048] = NOISE.randbytes(390 * 2048)
    raw.write_bytes(data)


def make_xfs(raw: Path, tree: Path) -> None:
    prototype = raw.with_suffix(".proto")
    lines = [f"{file.name} ---644 0 0 {file}" for file in tree.iterdir()]
    prototype.write_text("\n".join(("/", "0 0", "d--755 0 0", *lines, "$", "")))
    run("mkfs.xfs", "-q", "-f", "-p", prototype, sparse(raw, 300 * MIB))


def make_btrfs(raw: Path, tree: Path) -> None:
    run("mkfs.btrfs", "-q", "--rootdir", tree, sparse(raw, 120 * MIB))


MAKERS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "ext4": make_ext4,
    "ntfs": make_ntfs,
    "vfat": make_vfat,
    "xfs": make_xfs,
    "btrfs": make_btrfs,
}
NAMES: Final = {"ext4": "EXTFS", "ntfs": "NTFS", "vfat": "FAT16", "xfs": "XFS", "btrfs": "BTRFS"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tree")
    (path / "noise").write_bytes(NOISE.randbytes(700_001))
    (path / "text").write_bytes(b"words and more words\n" * 9000)
    (path / "small").write_bytes(b"x")
    return path


@pytest.fixture(scope="module", params=MAKERS)
def file_system(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("raw") / f"fs.{request.param}"
    MAKERS[request.param](raw, tree)
    return raw


@pytest.fixture(scope="module")
def reference(file_system: Path) -> bytes:
    """What the real ``partclone.restore`` makes of an image of the file system."""
    image, out = file_system.with_suffix(".img"), file_system.with_suffix(".reference")
    clone(file_system, image)
    restore(image, out)
    return out.read_bytes()


def clone(raw: Path, image: Path, *options: str) -> None:
    """``-f`` is how often it shows itself, in seconds, which it also waits for at the end."""
    log = image.with_suffix(".log")
    run(f"partclone.{raw.suffix[1:]}", "-c", "-s", raw, "-O", image, "-L", log, "-f", "1", *options)


def restore(image: Path, out: Path) -> None:
    log = image.with_suffix(".log")
    run("partclone.restore", "-s", image, "-O", out, "-C", "--restore_raw_file", "-L", log, "-f", "1")


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_as_the_real_restore(file_system: Path, reference: bytes, options: tuple[str, ...], tmp_path: Path) -> None:
    kind = file_system.suffix[1:]
    image = tmp_path / "x.img"
    clone(file_system, image, *options)
    mine = restored(image)
    assert reference.startswith(mine)
    assert not any(reference[len(mine) :])
    opened = open_image(iter([image.read_bytes()]))
    assert opened.header.filesystem == NAMES[kind]
    assert opened.header.checksum == ("none" if options == ("-a0",) else "crc32")


# --- what Debian's partclone cannot write: another implementation of the description -----------------------------

_HEADER: Final = struct.Struct("<16s14s4sH16sQQQQIIHHHHIBB")
BLOCK: Final = 512
MODES: Final = {0x00: 0, 0x20: 4, 0x30: 8, 0x31: 16}
NAMES_OF_MODES: Final = {0x00: "none", 0x20: "crc32", 0x30: "xxh64", 0x31: "xxh128"}


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def digest(mode: int, data: bytes) -> bytes:
    """As a little-endian machine stores it: XXH128_hash_t is its low half, then its high half."""
    if mode == 0x20:
        return crc(data)
    if mode == 0x30:
        return struct.pack("<Q", xxhash.xxh64_intdigest(data))
    value = xxhash.xxh3_128_intdigest(data)
    return struct.pack("<QQ", value & (1 << 64) - 1, value >> 64)


def header(
    total: int,
    used: int,
    mode: int = 0x20,
    size: int = 4,
    group: int = 256,
    reseed: int = 1,
    bitmap_mode: int = 1,
    block: int = BLOCK,
    feature_size: int = 18,
    device_size: int | None = None,
    cpu_bits: int = 64,
    mark: int = 0xC0DE,
) -> bytes:
    device_size = total * block if device_size is None else device_size
    fields = _HEADER.pack(
        *(b"partclone-image", b"0.3.40", b"0002", mark, b"EXTFS", device_size, total, used, used, block),
        *(feature_size, 2, cpu_bits, mode, size, group, reseed, bitmap_mode),
    )
    return fields + crc(fields)


def written(source: bytes, used: list[int], mode: int, group: int, reseed: bool) -> bytes:
    total = len(source) // BLOCK
    bits = sum(1 << block for block in used).to_bytes(-(-total // 8), "little")
    out = bytearray(header(total, len(used), mode, MODES[mode], group if mode else 0, int(reseed)) + bits + crc(bits))
    covered = b""
    for start in range(0, len(used), group):
        strip = b"".join(source[block * BLOCK : (block + 1) * BLOCK] for block in used[start : start + group])
        covered = strip if reseed else covered + strip
        out += strip + (digest(mode, covered) if mode else b"")
    return bytes(out)


def over_zeros(source: bytes, used: list[int]) -> bytes:
    out = bytearray(len(source))
    for block in used:
        out[block * BLOCK : (block + 1) * BLOCK] = source[block * BLOCK : (block + 1) * BLOCK]
    return bytes(out)


SOURCE: Final = NOISE.randbytes(1003 * BLOCK)
USED: Final = sorted(NOISE.sample(range(1003), 700))


@pytest.mark.parametrize(("mode", "group", "reseed"), [*product(MODES, (1, 7, 256, 700, 100000), (True, False))])
def test_every_kind_of_checksum(mode: int, group: int, reseed: bool) -> None:
    image = written(SOURCE, USED, mode, group, reseed)
    assert open_image(iter([image])).header.checksum == NAMES_OF_MODES[mode]
    assert restored(image) == over_zeros(SOURCE, USED)


@pytest.mark.parametrize(
    ("mode", "group", "reseed"), [*product((0x20, 0x30, 0x31), (1, 7, 256, 100000), (True, False))]
)
def test_a_flipped_bit_is_found(mode: int, group: int, reseed: bool) -> None:
    image = written(SOURCE, USED, mode, group, reseed)
    first = 110 + 126 + 4
    for place in (0, 109, 110, 200, first - 1, first, *NOISE.sample(range(first, len(image)), 20), len(image) - 1):
        damaged = bytearray(image)
        damaged[place] ^= 1 << NOISE.randrange(8)
        with pytest.raises(ImageError):
            restored(bytes(damaged))


@pytest.mark.parametrize("mode", MODES)
def test_truncated_and_followed_by_something(mode: int) -> None:
    image = written(SOURCE, USED, mode, 7, True)
    for place in (15, 34, 109, 110, 200, 239, 240, 241, *NOISE.sample(range(240, len(image)), 30), len(image) - 1):
        with pytest.raises(ImageError):
            restored(image[:place])
    for garbage in (b"\0", bytes(100_000), image):
        with pytest.raises(ImageCorrupt, match="goes on"):
            restored(image + garbage)


@pytest.mark.parametrize("used", [[], [0], [1002], list(range(1003)), list(range(0, 1003, 2))], ids=len)
def test_few_and_many_blocks(used: list[int]) -> None:
    assert restored(written(SOURCE, used, 0x20, 256, True)) == over_zeros(SOURCE, used)


def test_a_name_that_is_an_order_to_the_terminal() -> None:
    raw = bytearray(header(1003, 700))
    raw[36:52] = b"E[/b]\x1b[2J\xff\nFS\0x\0"
    assert parse_header(as_sealed(bytes(raw))).filesystem == "E??b???2J??FS"


@pytest.mark.parametrize("reseed", [True, False])
def test_written_on_a_machine_of_32_bits(reseed: bool, tmp_path: Path) -> None:
    image = written(SOURCE, USED, 0x20, 7, reseed)
    narrow = header(1003, len(USED), group=7, reseed=int(reseed), cpu_bits=32) + image[110:]
    file, reference = tmp_path / "x.img", tmp_path / "reference"
    file.write_bytes(narrow)
    restore(file, reference)
    assert restored(narrow) == reference.read_bytes().ljust(1003 * BLOCK, b"\0")
    assert restored(narrow) == over_zeros(SOURCE, USED)


def test_header_and_bitmap_must_count_the_same() -> None:
    image = written(SOURCE, USED, 0x20, 256, True)
    with pytest.raises(ImageCorrupt, match="699 used blocks, the bitmap 700"):
        restored(header(1003, 699) + image[110:])


def test_without_a_bitmap_every_block_is_there() -> None:
    image = header(8, 8, bitmap_mode=0) + SOURCE[: 8 * BLOCK] + crc(SOURCE[: 8 * BLOCK])
    assert restored(image) == SOURCE[: 8 * BLOCK]


# --- format 0001 -------------------------------------------------------------------------------------------------


def written_0001(source: bytes, bitmap: bytes, after_crc: bytes = b"") -> bytes:
    """One checksum a block, running through the image, over the first byte of each block, repeated."""
    used = bitmap.count(1)
    out = struct.pack(
        "<15s15s4s2xiQQQ4096x", b"partclone-image", b"EXTFS", b"0001", BLOCK, len(source), len(bitmap), used
    )
    out += bitmap + b"BiTmAgIc"
    value = 0
    for block, present in enumerate(bitmap):
        if present == 1:
            data = source[block * BLOCK : (block + 1) * BLOCK]
            value = zlib.crc32(data[:1] * BLOCK, value)
            out += data + struct.pack("<I", value ^ 0xFFFFFFFF) + after_crc
    return out


def test_format_0001_as_the_real_restore(tmp_path: Path) -> None:
    bitmap = bytes(NOISE.choice((0, 1, 1, 1)) for _ in range(1003))
    image, reference = tmp_path / "x.img", tmp_path / "reference"
    image.write_bytes(written_0001(SOURCE, bitmap))
    restore(image, reference)
    assert restored(image) == reference.read_bytes()
    assert restored(image) == over_zeros(SOURCE, [block for block in range(1003) if bitmap[block]])


ZEROS: Final = bytes(1003 * BLOCK)


@pytest.mark.parametrize("source", [SOURCE, ZEROS], ids=["noise", "zeros"])
@pytest.mark.parametrize("bitmap", [bytes(1003), bytes((0, 1)) + bytes(1001), bytes((1, 1, 0) * 334) + bytes(1)])
@pytest.mark.parametrize("after_crc", [b"", bytes(4)], ids=["32 bits", "64 bits"])
def test_format_0001_of_machines_of_32_and_64_bits(source: bytes, bitmap: bytes, after_crc: bytes) -> None:
    image = written_0001(source, bitmap, after_crc)
    assert restored(image) == over_zeros(source, [block for block in range(1003) if bitmap[block]])
    if bitmap.count(1) > 2:
        for place in (len(image) - 1, 5171 + 512, 5171 + 2 * (516 + len(after_crc)) + 512):
            damaged = bytearray(image)
            damaged[place] ^= 1
            with pytest.raises(ImageCorrupt):
                restored(bytes(damaged))


def test_format_0001_goes_by_the_bitmap_when_the_header_counts_otherwise(tmp_path: Path) -> None:
    image = bytearray(written_0001(SOURCE, bytes((1, 0, 1, 1)) * 250 + bytes(3)))
    struct.pack_into("<Q", image, 56, 700)
    file, reference = tmp_path / "x.img", tmp_path / "reference"
    file.write_bytes(image)
    restore(file, reference)
    assert restored(bytes(image)) == reference.read_bytes().ljust(1003 * BLOCK, b"\0")


def test_format_0001_truncated_or_damaged() -> None:
    image = written_0001(SOURCE, bytes((1, 0, 1, 1)) * 250 + bytes(3))
    for place in (40, 4159, 4160, 5000, 5163, 5170, 5171, 6000, len(image) - 1):
        with pytest.raises(ImageError):
            restored(image[:place])
    for place in (5163, 5171, 5171 + 512):  # the bitmap's end, the first block's first byte, its checksum
        damaged = bytearray(image)
        damaged[place] ^= 1
        with pytest.raises(ImageCorrupt):
            restored(bytes(damaged))


# --- headers from anywhere ---------------------------------------------------------------------------------------


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


def as_sealed(raw: bytes) -> bytes:
    return raw[:106] + crc(raw[:106])


U16: Final = st.integers(0, 0xFFFF)
U32: Final = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 512, 4096, 64 * MIB, 64 * MIB + 1])
U64: Final = st.integers(0, (1 << 64) - 1) | st.integers(0, 5000)
MODE_AND_SIZE: Final = st.sampled_from(sorted(MODES.items())) | st.tuples(U16, U16)


@settings(deadline=None)
@given(st.binary(min_size=110, max_size=110))
def test_arbitrary_bytes(raw: bytes) -> None:
    for head in (raw, b"partclone-image\0" + raw[16:30] + b"0002\xde\xc0" + raw[36:]):
        check_bounds(parse_header, head)
        check_bounds(parse_header, as_sealed(head))


@settings(deadline=None)
@given(st.dictionaries(st.integers(30, 105), st.integers(0, 255), max_size=6))
def test_mutated_headers(changes: dict[int, int]) -> None:
    raw = bytearray(header(1003, 700))
    for place, value in changes.items():
        raw[place] = value
    check_bounds(parse_header, as_sealed(bytes(raw)))
    if bytes(raw) != header(1003, 700):
        with pytest.raises(ImageError):
            parse_header(bytes(raw))


@settings(deadline=None, max_examples=400)
@given(U64, U64, MODE_AND_SIZE, U32, st.integers(0, 255), st.integers(0, 9), U32, st.sampled_from([18, 0]), U64)
def test_headers_of_any_values(
    total: int, used: int, kind: tuple[int, int], group: int, reseed: int, bits: int, block: int, size: int, device: int
) -> None:
    check_bounds(parse_header, header(total, used, *kind, group, reseed, bits, block, size, device))


@settings(deadline=None)
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
