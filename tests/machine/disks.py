"""Disks that are files: a table, and what lies in its partitions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from tests.machine.tools import run
from tests.mounts import unmount

MIB: Final = 1 << 20

Content = Literal["root", "swap", "esp", "bios-boot", "data"]

_TYPES: Final[dict[Content, tuple[str, str]]] = {
    "root": ("83", "linux"),
    "data": ("83", "linux"),
    "swap": ("82", "swap"),
    "esp": ("ef", "uefi"),
    "bios-boot": ("da", "21686148-6449-6E6F-744E-656564454649"),
}
"""For sfdisk, in MSDOS and in GPT."""


class Part(Struct, frozen=True):
    """``uuid`` of the file system or swap space; FAT has eight digits of it. ``mib`` 0: the rest of the disk."""

    number: int
    content: Content
    mib: int
    uuid: str = ""


class Layout(Struct, frozen=True):
    table: Literal["dos", "gpt"]
    mib: int
    parts: tuple[Part, ...]

    def one(self, content: Content) -> Part | None:
        return next((part for part in self.parts if part.content == content), None)


def make_disk(file: Path, layout: Layout, *, empty_root: bool = True) -> None:
    """A root is left without a file system when ``empty_root``: something else will be brought there."""
    with file.open("xb") as opened:
        opened.truncate(layout.mib * MIB)
    # In the order in which they lie on the disk, which need not be that of their numbers.
    rows = [
        f"{file}{part.number} : {_size(part)}type={_TYPES[part.content][layout.table == 'gpt']}"
        for part in layout.parts
    ]
    run("sfdisk", "--quiet", file, stdin="\n".join([f"label: {layout.table}", *rows, ""]))
    for part in layout.parts:
        if part.content != "root" or not empty_root:
            _fill(file, part, *place(file, part.number))


def place(file: Path, number: int) -> tuple[int, int]:
    """Start and size in bytes."""
    table = json.loads(run("sfdisk", "--json", file))["partitiontable"]
    row = next(row for row in table["partitions"] if row["node"] == f"{file}{number}")
    return row["start"] * 512, row["size"] * 512


def _size(part: Part) -> str:
    return f"size={part.mib}MiB, " if part.mib else ""


def _fill(file: Path, part: Part, start: int, size: int) -> None:
    match part.content:
        case "root" | "data":
            options = ["-E", f"offset={start},lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-U", part.uuid]
            options += ["-J", "size=8", "-N", "32768"]
            run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", *options, file, f"{size >> 10}k")
        case "esp":
            _bring(file, start, size, "mkfs.vfat", "-F", "32", "-i", part.uuid)
        case "swap":
            _bring(file, start, size, "mkswap", "-q", "-U", part.uuid)
        case "bios-boot":
            pass  # a boot loader comes here, and no file system


def _bring(disk: Path, start: int, size: int, *command: str) -> None:
    """What a tool that knows no offset has made in a file of its own."""
    file = disk.with_suffix(".part")
    with file.open("xb") as opened:
        opened.truncate(size)
    file.chmod(0o600)
    run(*command, file)
    run("dd", f"if={file}", f"of={disk}", "bs=1M", f"seek={start // MIB}", "conv=notrunc,sparse", "status=none")
    file.unlink()


@contextmanager
def attached(file: Path) -> Iterator[str]:
    """A loop device that the kernel is told the partitions of: it may be one that reads no tables."""
    device = run("losetup", "--find", "--show", file).strip()
    try:
        _forget_partitions(device)
        run("partx", "--add", device)
        yield device
    finally:
        _forget_partitions(device)
        run("losetup", "--detach", device)


def _forget_partitions(device: str) -> None:
    for partition in Path("/sys/class/block", Path(device).name).glob("*/partition"):
        subprocess.run(["delpart", device, partition.read_text().strip()], capture_output=True, check=False)


@contextmanager
def mounted(device: str | Path, at: Path, *options: str) -> Iterator[Path]:
    at.mkdir(parents=True, exist_ok=True)
    run("mount", *options, device, at)
    try:
        yield at
    finally:
        unmount(at)
