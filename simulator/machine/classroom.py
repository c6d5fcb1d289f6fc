"""The disk of a classroom PC, as a file: EFI, a system, data, and the CACHE at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from simulator.errors import ToolMissing
from simulator.ext4 import fill, make_filesystem
from simulator.machine.gpt import EFI_SYSTEM, LINUX_FILESYSTEM, Entry, write_table
from simulator.processes import run
from simulator.tree import MIB, Node, noise

EFI: Final = Entry(number=1, start=1 * MIB, size=16 * MIB, type=EFI_SYSTEM, name="EFI")
SYSTEM: Final = Entry(number=2, start=17 * MIB, size=128 * MIB, type=LINUX_FILESYSTEM, name="Linux")
DATA: Final = Entry(number=3, start=145 * MIB, size=24 * MIB, type=LINUX_FILESYSTEM, name="Datos")
CACHE: Final = Entry(number=4, start=169 * MIB, size=64 * MIB, type=LINUX_FILESYSTEM, name="CACHE")
DISK_SIZE: Final = 234 * MIB

_OLD_UUID: Final = "5b1d2c0e-7f7a-4a58-9d0c-3f1f0e6c7a01"
_CACHE_UUID: Final = "5b1d2c0e-7f7a-4a58-9d0c-3f1f0e6c7a04"
_OLD_SYSTEM: Final = {
    "/etc": Node(kind="directory"),
    "/etc/hostname": Node(kind="file", mode=0o644, content=b"antiguo\n"),
    "/usr": Node(kind="directory"),
    "/usr/lib": Node(kind="directory"),
    "/usr/lib/os-release": Node(kind="file", mode=0o644, content=b'NAME="Sistema antiguo"\nVERSION_ID="1"\n'),
}


def make_disk(path: Path) -> None:
    """A new disk, with an old system where an image will go. The data partition holds no file system, but noise."""
    with path.open("wb") as file:
        file.truncate(DISK_SIZE)
        write_table(file, DISK_SIZE, (EFI, SYSTEM, DATA, CACHE))
        file.seek(DATA.start)
        file.write(noise("datos", DATA.size))
    _make_efi(path)
    make_filesystem(path, SYSTEM.size, uuid=_OLD_UUID, label="ANTIGUO", offset=SYSTEM.start)
    old = _OLD_SYSTEM | {"/var": Node(kind="file", content=noise("antiguo", 8 * MIB))}
    fill(path, old, offset=SYSTEM.start)
    make_filesystem(path, CACHE.size, uuid=_CACHE_UUID, label="CACHE", offset=CACHE.start)


def outside(path: Path, partition: Entry) -> Iterator[bytes]:
    """Everything on the disk but this partition, tables included."""
    with path.open("rb") as file:
        for start, stop in ((0, partition.start), (partition.start + partition.size, DISK_SIZE)):
            file.seek(start)
            for offset in range(start, stop, MIB):
                yield file.read(min(MIB, stop - offset))


def _make_efi(path: Path) -> None:
    """Left empty where mkfs.vfat is not installed."""
    efi = path.with_name(f"{path.name}.efi")
    try:
        with efi.open("wb") as file:
            file.truncate(EFI.size)
        run(["mkfs.vfat", "-n", "EFI", efi])
        with path.open("r+b") as disk:
            disk.seek(EFI.start)
            disk.write(efi.read_bytes())
    except ToolMissing:
        pass
    finally:
        efi.unlink()
