"""What real tools say of a disk, and disks for tests to work on."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from ogagent.disk import content
from ogagent.disk.codes import mark_cache, partition_code
from ogagent.disk.device import BlockDevice
from ogagent.disk.layout import is_extended
from ogagent.disk.machine import Device
from ogagent.disk.tables import read_table
from ogagent.errors import WriteFailed
from ogagent.model.disk import Disk, Partition
from ogagent.model.units import MIB

_PATH: Final = f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Row(Struct, frozen=True, kw_only=True):
    """In sectors."""

    start: int
    size: int
    type: str
    name: str = ""
    uuid: str = ""
    bootable: bool = False


Table = tuple[str, Mapping[int, Row]] | None
"""Kind and rows; None for a disk without a table."""


def run(program: str, *arguments: str | Path, stdin: str = "", good: tuple[int, ...] = (0,)) -> str:
    found = shutil.which(program, path=_PATH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    command = [found, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode in good, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def table_by_sfdisk(disk: Path | str) -> Table:
    said = run("sfdisk", "--json", disk, good=(0, 1))
    if "{" not in said:
        return None
    table = json.loads(said[said.index("{") :])["partitiontable"]
    rows = {}
    for each in table.get("partitions", []):
        number = int(each["node"].removeprefix(table["device"]).removeprefix("p"))
        members: dict[str, Any] = {
            name: each[name] for name in ("start", "size", "type", "name", "uuid", "bootable") if name in each
        }
        rows[number] = Row(**members)
    if {row.type for row in rows.values()} == {"ee"}:  # what protects a GPT that is not there
        return None
    return table["label"], rows


def sgdisk_is_content(disk: Path | str) -> None:
    assert "No problems found" in run("sgdisk", "-v", disk)


def first_gpt_is_whole(disk: Path | str) -> bool:
    """Without the copy at the end of the disk, at which neither Linux nor GRUB looks unless it is told to."""
    with open(disk, "rb") as file:
        content = file.read(4 * MIB)
    header = content[512 : 512 + 92]
    at, count, size, checksum = struct.unpack("<QIII", header[72:92])
    entries = content[at * 512 : at * 512 + count * size]
    own = zlib.crc32(header[:16] + bytes(4) + header[20:])
    return (
        header[:8] == b"EFI PART" and own == int.from_bytes(header[16:20], "little") and zlib.crc32(entries) == checksum
    )


@contextmanager
def opened(disk: Path | str, sector_size: int = 512) -> Iterator[BlockDevice]:
    fd = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
    size = os.lseek(fd, 0, os.SEEK_END)
    with BlockDevice(fd, base=0, size=size, sector_size=sector_size, name=str(disk)) as device:
        yield device


async def disk_of(disk: Path | str, sector_size: int = 512) -> Disk:
    """As an inventory would show it."""
    table = await read_table(str(disk), sector_size)
    fd = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        partitions = []
        for entry in table.entries:
            assert table.kind
            inside = content.Content()
            if not is_extended(table.kind, entry.type):
                inside = content.probe(fd, entry.start, entry.size)
            partitions.append(
                Partition(
                    partition=entry.number,
                    device=entry.device,
                    start=entry.start,
                    size=entry.size,
                    code=partition_code(table.kind, entry.type),
                    filesystem=inside.filesystem,
                    label=inside.label,
                    name=entry.name,
                    problem=entry.problem,
                )
            )
    finally:
        os.close(fd)
    bare = Disk(
        disk=1,
        device=str(disk),
        identity=f"file:{disk}",
        model="",
        size=size,
        sector_size=sector_size,
        table=table.kind,
        partitions=tuple(partitions),
        problem=table.problem,
    )
    return mark_cache([bare])[0]


class PowerCut(WriteFailed):
    """The disk is gone, and what comes after does not arrive."""


class Recorded:
    """A device that says what it is asked to write. ``writes`` has a list for what lies between two flushes."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.writes: list[list[tuple[int, bytes]]] = [[]]
        self.size = device.size
        self.zero = device.zero
        self.read_back = device.read_back

    def write(self, offset: int, data: memoryview) -> None:
        self.writes[-1].append((offset, bytes(data)))
        self._device.write(offset, data)

    def flush(self) -> None:
        self._device.flush()
        if self.writes[-1]:
            self.writes.append([])
