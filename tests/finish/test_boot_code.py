"""The code in the first sector of a disk, started by a BIOS in QEMU; and where it is written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.disk.boot_record import is_startable, startable
from ogagent.errors import DiskChanged
from ogagent.finish.boot_code import BootCode
from ogagent.finish.place import Place
from tests.finish.places import MIB, OTHER, ROOT, SWAP, place, target

SECTOR: Final = 512
STARTED: Final = b"started"
END: Final = b"\x55\xaa"
ENDED: Final = 3
"""What isa-debug-exit makes of 1."""
WINDOWS: Final = replace(ROOT, filesystem="ntfs")
GRUB: Final = b"\xeb\x63GRUB \0".ljust(440, b"\x90")


def row(number: int, *, active: bool = False) -> bytes:
    flag, start = 0x80 if active else 0, target(number).start // SECTOR
    return bytes([flag, 0, 0, 0, 7, 0, 0, 0]) + start.to_bytes(4, "little") + (2048).to_bytes(4, "little")


def first(*rows: bytes, code: bytes = b"") -> bytes:
    return code.ljust(440, b"\0") + b"disk\0\0" + b"".join(rows).ljust(64, b"\0") + END


def a_boot_sector(says: bytes = STARTED) -> bytes:
    """Tells port 0xe9 of QEMU, which it ends by port 0xf4; DL is the disk and SI the row, or it says nothing."""
    said = b"".join(bytes([0xB0, each, 0xE6, 0xE9]) for each in says)
    checks = bytes.fromhex(f"80fa80 75{len(said) + 5:02x} 803c80 75{len(said):02x}")
    return (checks + said + bytes.fromhex("b001 e6f4 f4")).ljust(510, b"\0") + END


async def booted(folder: Path, disk: bytes, at: dict[int, bytes]) -> tuple[bytes, int | None]:
    """What the boot sectors of partitions say, and how QEMU ends: by one of them, or when its firmware starts again."""
    image, said = folder / "disk.img", folder / "said"
    with image.open("wb") as file:
        file.write(disk)
        for number, content in at.items():
            file.seek(target(number).start)
            file.write(content)
        file.truncate(1000 * MIB)
    words = [
        "-accel",
        "tcg",
        "-m",
        "16",
        "-display",
        "none",
        "-nodefaults",
        "-no-reboot",
        "-boot",
        "c,reboot-timeout=0",
    ]
    words += ["-drive", f"file={image},format=raw,if=ide,cache=unsafe", "-debugcon", f"file:{said}"]
    words += ["-device", "isa-debug-exit,iobase=0xf4"]
    qemu = await asyncio.create_subprocess_exec("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *words)
    async with asyncio.timeout(300):
        await qemu.wait()
    return said.read_bytes(), qemu.returncode


async def test_a_bios_starts_the_active_partition(tmp_path: Path) -> None:
    disk = startable(first(row(1), row(2)), target(2), grub_counts=True)
    assert await booted(tmp_path, disk, {1: a_boot_sector(b"wrong"), 2: a_boot_sector()}) == (STARTED, ENDED)


@pytest.mark.parametrize("content", [b"", a_boot_sector()[:510]])
async def test_what_does_not_start_is_left_to_the_firmware(tmp_path: Path, content: bytes) -> None:
    """Which has no other disk, and starts again."""
    disk = startable(first(row(1), row(2)), target(2), grub_counts=True)
    assert await booted(tmp_path, disk, {2: content}) == (b"", 0)


def test_what_is_there_stays() -> None:
    """The name of the disk, rows, an active one, code of whatever kind."""
    sector = first(row(1, active=True), row(2), code=GRUB)
    assert startable(sector, target(2), grub_counts=True) == sector
    bare = first(row(1), row(2), code=b"code")
    assert startable(bare, target(2), grub_counts=False) == first(row(1), row(2, active=True), code=b"code")
    new = startable(first(row(1, active=True), row(2)), target(2), grub_counts=True)
    assert new[440:] == sector[440:]
    assert is_startable(new, grub_counts=True)


def test_a_grub_that_has_nothing_to_start_gives_way() -> None:
    new = startable(first(row(1), row(2), code=GRUB), target(2), grub_counts=False)
    assert b"GRUB" not in new
    assert is_startable(new, grub_counts=False)


def test_another_table_is_not_touched() -> None:
    with pytest.raises(DiskChanged, match="has another partition table now"):
        startable(first(row(1), row(3)), target(2), grub_counts=True)


def windows(folder: Path, sector: bytes, *others: object) -> Place:
    disk = folder / "disk"
    disk.write_bytes(sector)
    own = replace(WINDOWS, target=replace(WINDOWS.target, disk_device=f"{disk}"))
    return replace(place(own), volume=own, volumes=(own, *others), table="msdos")


@pytest.mark.parametrize(("other", "needed"), [(OTHER, False), (replace(OTHER, label="CACHE"), True), (SWAP, True)])
async def test_whether_grub_has_something_to_start(tmp_path: Path, other: object, *, needed: bool) -> None:
    grub = first(row(1), row(2, active=True), code=GRUB)
    assert await BootCode(windows(tmp_path, grub, other)).needed() == needed


async def test_only_what_a_bios_starts_is_asked_for(tmp_path: Path) -> None:
    here = windows(tmp_path, first(row(1), row(2)))
    assert await BootCode(here).needed()
    logical = replace(here.volume, target=replace(here.target, partition=5))
    assert not await BootCode(replace(here, volume=logical)).needed()
