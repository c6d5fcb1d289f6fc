"""Tables as sfdisk prints them for real machines, and as it prints them here for tables it has just made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.disk.codes import partition_code
from ogagent.disk.tables import Table, parse_table, read_table
from ogagent.errors import ToolFailed

MIB = 1 << 20
MACHINES = sorted((Path(__file__).parent / "machines").glob("*.json"))
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


def output(**changed: Any) -> bytes:
    """What sfdisk says of a disk with one partition, with some of it changed."""
    table = {"label": "dos", "device": "/dev/sda", "unit": "sectors", "sectorsize": 512}
    entry = {"node": "/dev/sda1", "start": 2048, "size": 4096, "type": "83"}
    members = {**table, "partitions": [entry | {k: v for k, v in changed.items() if k in entry}]}
    return json.dumps({"partitiontable": members | {k: v for k, v in changed.items() if k in table}}).encode()


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_machine(path: Path) -> None:
    machine = json.loads(path.read_text())
    assert machine["why"]
    table = parse_table(json.dumps(machine["sfdisk"]).encode())
    assert table.kind is not None
    assert table.kind == machine["table"]
    found = [
        {
            "number": entry.number,
            "device": entry.device,
            "start": entry.start,
            "size": entry.size,
            "code": partition_code(table.kind, entry.type),
            "name": entry.name,
        }
        for entry in table.entries
    ]
    assert found == machine["partitions"]


def test_the_machines_are_there() -> None:
    assert len(MACHINES) >= 9


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "sun"},
        {"unit": "cylinders"},
        {"sectorsize": "512"},
        {"node": "/dev/sdb1"},
        {"node": "/dev/sda"},
        {"node": "/dev/sda0"},
        {"node": "/dev/sda1x"},
        {"node": "/dev/sda10000"},
        {"start": -1.5},
        {"start": -1},
        {"start": "2048"},
        {"size": -4096},
        {"size": 1e999},
        {"sectorsize": -512},
        {"type": 83},
    ],
    ids=str,
)
def test_what_is_not_understood_is_not_guessed(wrong: dict[str, Any]) -> None:
    assert parse_table(output()).entries[0].number == 1
    with pytest.raises(ToolFailed):
        parse_table(output(**wrong))


@given(st.binary(max_size=200) | st.integers(0, 400).map(lambda cut: output()[:cut]))
def test_garbage_is_refused(garbage: bytes) -> None:
    try:
        parse_table(garbage)
    except ToolFailed:
        return
    assert garbage == output()


@pytest.mark.parametrize(
    "rest", [b"", b"\0", b"nothing", b"{}", b"[" * 100_000, b'{"partitiontable":', output() + b"{}"]
)
def test_nonsense_is_refused(rest: bytes) -> None:
    with pytest.raises(ToolFailed):
        parse_table(rest)


def test_a_number_that_comes_twice_is_refused() -> None:
    document = json.loads(output())
    document["partitiontable"]["partitions"] *= 2
    with pytest.raises(ToolFailed, match="twice"):
        parse_table(json.dumps(document).encode())


@pytest.mark.parametrize("name", [b"a\xed\xa0\x80b", b"\xff\xfe", b"\xc3", b"\x01\x1b[31m", b"\\ud800", b"\\u0000"])
def test_a_name_of_any_bytes_is_a_name(name: bytes) -> None:
    """sfdisk prints half a surrogate pair as three bytes that are no UTF-8."""
    said = output().replace(b'"type": "83"', b'"type": "83", "name": "' + name + b'"')
    assert parse_table(said).entries[0].name


def test_what_sfdisk_remarks_before_its_json_is_no_part_of_it() -> None:
    said = b"Invalid flag 0x0000 of EBR (for partition 5) will be corrected by w(rite).\n" + output()
    assert parse_table(said) == parse_table(output())


def test_older_sfdisk_is_named_as_the_reason() -> None:
    document = json.loads(output())
    del document["partitiontable"]["sectorsize"]  # it came with 2.38
    with pytest.raises(ToolFailed) as caught:
        parse_table(json.dumps(document).encode())
    assert "2.38" in caught.value.hint


async def test_gpt_as_sfdisk_makes_it(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disk = sparse(64 * MIB)
    tool("sfdisk", "-q", disk, stdin="label: gpt\n1: size=8M, type=uefi\n7: size=16M, type=linux, name=CACHE\n")
    table = await read_table(str(disk), 512)
    assert table.kind == "gpt"
    first, second = table.entries
    assert (first.number, first.start, first.size) == (1, MIB, 8 * MIB)
    assert (second.number, second.start, second.size) == (7, 9 * MIB, 16 * MIB)
    assert (second.type, second.name) == (LINUX, "CACHE")


async def test_msdos_as_sfdisk_makes_it(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disk = sparse(64 * MIB)
    script = "label: dos\nsize=8M, type=7\nsize=32M, type=f\nsize=8M, type=ca\n\nsize=8M, type=83\n"
    tool("sfdisk", "-q", disk, stdin=script.replace("\n\n", "\n5: "))
    table = await read_table(str(disk), 512)
    assert table.kind == "msdos"
    assert [(entry.number, entry.type) for entry in table.entries] == [(1, "7"), (2, "f"), (3, "ca"), (5, "83")]
    extended, logical = table.entries[1], table.entries[3]
    assert extended.start < logical.start < logical.start + logical.size <= extended.start + extended.size
    assert [entry.problem for entry in table.entries] == [""] * 4


async def test_table_without_partitions(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disk = sparse(16 * MIB)
    tool("sfdisk", "-q", disk, stdin="label: gpt\n")
    table = await read_table(str(disk), 512)
    assert (table.kind, table.entries, table.problem) == ("gpt", (), "")


async def test_empty_disk_has_no_table(sparse: Callable[[int], Path]) -> None:
    assert await read_table(str(sparse(16 * MIB)), 512) == Table(kind=None)


async def test_file_system_on_the_whole_disk_is_no_table(
    tool: Callable[..., str], sparse: Callable[[int], Path]
) -> None:
    """The boot sector of a FAT ends like that of a table."""
    disk = sparse(16 * MIB)
    tool("mkfs.vfat", disk)
    table = await read_table(str(disk), 512)
    assert (table.kind, table.entries) == (None, ())
    assert "a file system (vfat)" in table.problem


async def test_table_of_another_kind_is_none_of_ours(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disk = sparse(16 * MIB)
    tool("sfdisk", "-q", disk, stdin="label: sun\n")
    table = await read_table(str(disk), 512)
    assert (table.kind, table.entries) == (None, ())
    assert "another kind (sun)" in table.problem


async def test_damaged_gpt_is_read_from_its_copy(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disk = sparse(64 * MIB)
    tool("sfdisk", "-q", disk, stdin="label: gpt\nsize=8M, type=linux, name=data\n")
    with disk.open("r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    table = await read_table(str(disk), 512)
    assert [entry.name for entry in table.entries] == ["data"]


async def test_disk_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await read_table("/dev/ogagent-no-such-disk", 512)
