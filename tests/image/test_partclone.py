"""partclone images: restored as the real ``partclone.restore`` does it, or as their description says."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt, ImageError, UnknownImage
from ogagent.image.detect import open_image
from ogagent.image.partclone_header import parse_header
from tests.image.partclone_programs import clone, restore, run
from tests.image.partclone_written import (
    BLOCK,
    MIB,
    MODES,
    NAMES_OF_MODES,
    NOISE,
    SOURCE,
    USED,
    as_sealed,
    crc,
    header,
    over_zeros,
    restored,
    written,
)

OPTIONS: Final = (
    ("-a0",),
    ("-a1", "-k1"),
    ("-a1", "-k7", "-K"),
    ("-a1", "-k100000"),
)


# --- real file systems and the real partclone ---------------------------------------------------------------------


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


@pytest.mark.parametrize("table", ["GPT", "MSDOS"])
def test_all_of_a_disk_is_no_partition(table: str) -> None:
    """As partclone.dd makes it of whatever it is given."""
    raw = bytearray(header(8, 8, bitmap_mode=0))
    raw[36:52] = b"raw".ljust(16, b"\0")
    disk = bytearray(8 * BLOCK)
    if table == "GPT":
        disk[512:520] = b"EFI PART"
    else:
        disk[446:462] = bytes([0x80, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") * 2
        disk[510:512] = b"\x55\xaa"
    with pytest.raises(UnknownImage, match=rf"is one of a whole disk with its partition table \({table}\)"):
        restored(as_sealed(bytes(raw)) + disk + crc(bytes(disk)))
    plain = SOURCE[: 8 * BLOCK]
    assert restored(as_sealed(bytes(raw)) + plain + crc(plain)) == plain


def test_without_a_bitmap_every_block_is_there() -> None:
    image = header(8, 8, bitmap_mode=0) + SOURCE[: 8 * BLOCK] + crc(SOURCE[: 8 * BLOCK])
    assert restored(image) == SOURCE[: 8 * BLOCK]
