"""What is refused as an image is called by its name, with what to do about it."""

from __future__ import annotations

import bz2
import lzma
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import UnknownImage
from ogagent.image.detect import open_image
from tests.image.containers import gzip_member, lzop_file, zstd_frame

MIB: Final = 1 << 20
PAGE: Final = 4096
NOISE: Final = random.Random(3).randbytes(MIB)
TEXT: Final = b"line of a file that compresses\n" * 5000
FAT32_AT: Final = 82


def refused(data: bytes, chunk: int = 1 << 16) -> UnknownImage:
    with pytest.raises(UnknownImage) as caught:
        open_image(data[at : at + chunk] for at in range(0, len(data), chunk))
    assert caught.value.number == 33
    assert caught.value.hint
    return caught.value


def made(path: Path, size: int, *command: str, told: str = "") -> bytes:
    """The first MiB of what ``command`` makes of a file of zeros; FILE stands for its path."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    with path.open("xb") as file:
        file.truncate(size)
    path.chmod(0o600)
    arguments = [str(path) if each == "FILE" else each for each in command[1:]]
    subprocess.run([program, *arguments], input=told.encode(), check=True, capture_output=True, timeout=300)
    with path.open("rb") as made_file:
        return made_file.read(MIB)


def packed_by(*command: str) -> bytes:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, input=TEXT, capture_output=True, check=True, timeout=300).stdout


def put(*places: tuple[int, bytes]) -> bytes:
    out = bytearray(128 << 10)
    for offset, data in places:
        out[offset : offset + len(data)] = data
    return bytes(out)


# --- partitions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
def test_luks(version: str, tmp_path: Path) -> None:
    fast = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-")
    head = made(
        tmp_path / "luks", 40 * MIB, "cryptsetup", "-q", "luksFormat", "--type", f"luks{version}", *fast, "FILE",
        told="secret",
    )  # fmt: skip
    for data in (head, gzip_member(head)):
        error = refused(data)
        assert "encrypted with LUKS" in error.message
        assert "cryptsetup open" in error.hint


def test_luks_over_an_old_file_system() -> None:
    assert "LUKS" in refused(put((0, b"LUKS\xba\xbe\0\1"), (1024 + 56, b"\x53\xef"))).message


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        ((3, b"-FVE-FS-\0\2\x08"), "encrypted with BitLocker,"),
        ((424, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")), "encrypted with BitLocker To Go,"),
    ],
)
def test_bitlocker_though_it_calls_itself_fat32(signature: tuple[int, bytes], name: str) -> None:
    error = refused(put((0, b"\xeb\x58\x90MSWIN4.1"), signature, (FAT32_AT, b"FAT32   "), (510, b"\x55\xaa")))
    assert name in error.message
    assert "manage-bde -off" in error.hint


@pytest.mark.parametrize("page", ["4096", "8192", "65536"])
def test_swap(page: str, tmp_path: Path) -> None:
    error = refused(made(tmp_path / "swap", 40 * MIB, "mkswap", "-p", page, "FILE"))
    assert "swap space" in error.message
    assert "mkswap" in error.hint


@pytest.mark.parametrize(
    ("data", "name", "hint"),
    [
        (put((512, b"LABELONE\1\0\0\0\0\0\0\0\0\0\0\0 \0\0\0LVM2 001")), "physical volume of LVM", "vgchange"),
        (put((0, b"\xfc\x4e\x2b\xa9\1\0\0\0")), "RAID", "mdadm"),
        (put((PAGE, b"\xfc\x4e\x2b\xa9\1\0\0\0")), "RAID", "mdadm"),
        (put((16384, b"\1\1\0\0" + struct.pack(">6I", 0, 1, 36, 32, 7, 0)[:20] + b"version\0")), "ZFS", "file system"),
        (put((PAGE - 10, b"S1SUSPEND\0")), "swap space that a system sleeps in", "mkswap"),
        (put((32768, b"JFS1")), "JFS", "partclone"),
        (put((65536 + 52, b"ReIsEr2Fs")), "ReiserFS", "partclone"),
        (put((1024, b"H+\0\4")), "HFS+", "partclone"),
        (put((32, b"NXSB")), "APFS", "partclone"),
        (put((3, b"ReFS\0\0\0\0")), "ReFS", "partclone"),
        (put((1024, b"\2\0\0\0\0\0\x34\x34")), "NILFS2", "partclone"),
    ],
)
def test_other_partitions(data: bytes, name: str, hint: str) -> None:
    error = refused(data)
    assert name in error.message
    assert hint in error.hint


# --- whole disks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "name"), [("dos", "MSDOS"), ("gpt", "GPT")])
def test_a_whole_disk(label: str, name: str, tmp_path: Path) -> None:
    table = f"label: {label}\nstart=2048, size=20480\nstart=22528\n"
    error = refused(made(tmp_path / "disk", 40 * MIB, "sfdisk", "-q", "FILE", told=table))
    assert whole_disk(name) in error.message
    assert "one of the partitions" in error.hint


def test_a_whole_disk_with_a_table_of_one_extended_partition() -> None:
    entry = struct.pack("<8B2I", 0, 0, 0, 0, 0x0F, 0, 0, 0, 2048, 1 << 30)
    assert whole_disk("MSDOS") in refused(put((0, NOISE[:440]), (446, entry), (510, b"\x55\xaa"))).message


def test_a_whole_disk_of_large_sectors() -> None:
    entry = struct.pack("<8B2I", 0, 0, 0, 0, 0xEE, 0, 0, 0, 1, 1 << 20)
    disk = put((446, entry), (510, b"\x55\xaa"), (PAGE, b"EFI PART\0\0\1\0"))
    assert "GPT, sectors of 4096 bytes" in refused(disk).message
    assert whole_disk("MSDOS") in refused(disk[:PAGE] + bytes(PAGE * 20)).message


def whole_disk(name: str) -> str:
    return f"a whole disk with its partition table ({name}"


def test_a_boot_sector_is_no_partition_table() -> None:
    """What stands at 446 is code; and a table without a partition is none."""
    for code in (NOISE[:64], bytes(64), b"\x80" + bytes(63)):
        assert "whole disk" not in refused(put((0, NOISE[:446]), (446, code), (510, b"\x55\xaa"))).message


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", range(10))
def test_lzma(preset: int) -> None:
    data = lzma.compress(TEXT, format=lzma.FORMAT_ALONE, preset=preset)
    known = data[:5] + len(TEXT).to_bytes(8, "little") + data[13:]
    for each in (data, known):
        error = refused(each)
        assert "an lzma file" in error.message
        assert "compress it again" in error.hint


@pytest.mark.parametrize(("lc", "lp", "pb"), [(0, 0, 0), (4, 0, 4), (0, 4, 0), (1, 3, 4), (3, 0, 2)])
@pytest.mark.parametrize("dictionary", [4 << 10, 6 << 10, 3 << 20, 1 << 23, 3 << 28])
def test_lzma_by_whoever_chose_its_options(lc: int, lp: int, pb: int, dictionary: int) -> None:
    """XZ Utils can unpack it, and they have the last word on what it is."""
    options = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": 4 << 10}
    data = bytearray(lzma.compress(TEXT, format=lzma.FORMAT_ALONE, filters=[options]))
    data[1:5] = dictionary.to_bytes(4, "little")  # it needs no more
    assert lzma.decompress(data) == TEXT
    assert "an lzma file" in refused(bytes(data)).message


@pytest.mark.parametrize("damage", [(0, 225), (1, 1), (3, 0xA0), (12, 1), (13, 1)])
def test_not_everything_that_begins_so_is_lzma(damage: tuple[int, int]) -> None:
    data = bytearray(lzma.compress(TEXT, format=lzma.FORMAT_ALONE))
    data[damage[0]] = damage[1]
    assert "lzma" not in refused(bytes(data)).message


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (lambda: packed_by("lzip"), "lzip"),
        (lambda: packed_by("compress", "-cf"), "compress (.Z)"),
        (lambda: lzma.compress(TEXT), "xz"),
        (lambda: bz2.compress(TEXT), "bzip2"),
    ],
)
def test_compressed_by_another_program(pack: Callable[[], bytes], name: str) -> None:
    error = refused(pack())
    assert name in error.message
    assert "compress it again with zstd, gzip or lzop" in error.hint


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"bvx2", "lzfse"), (b"bvx-", "lzfse"), (b"LRZI", "lrzip"), (b"\x02\x21\x4c\x18", "lz4"),
        (b"\x1f\x1e", "pack"), (b"\x25\xb5\x2f\xfd", "zstd before 0.8"), (b"PK\x05\x06", "zip"),
        (b"PK\x07\x08", "zip"), (b"FsA0", "fsarchiver"),
    ],
)  # fmt: skip
def test_other_files(start: bytes, name: str) -> None:
    assert name in refused(start + NOISE).message


# --- one container inside another ---------------------------------------------------------------------------------

PACK: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": gzip_member, "zstd": zstd_frame, "lzop": lzop_file}


@pytest.mark.parametrize("inner", PACK)
@pytest.mark.parametrize("outer", PACK)
def test_packed_twice(outer: str, inner: str) -> None:
    for chunk in (1000, 1 << 16):
        error = refused(PACK[outer](PACK[inner](TEXT)), chunk)
        assert f"it looks like a {inner} file" in error.message
        assert error.message.endswith(f" inside {outer}")
        assert f"{outer} -dc" in error.hint
