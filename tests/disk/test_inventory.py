"""One disk, here a file, from its table to the content of its partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ogagent.disk.inventory import read_disk
from ogagent.disk.kernel import KernelDisk, KernelPartition
from ogagent.disk.readings import Reading
from ogagent.model.disk import OLDER_TABLE, UNREADABLE, Disk

MIB = 1 << 20
SCRIPT = "label: gpt\n1: start=1M, size=16M, type=uefi\n2: size=32M, type=linux, name=system\n5: size=8M, type=linux\n"


def kernel(path: Path | str, size: int, **members: Any) -> KernelDisk:
    return KernelDisk(
        device=str(path), identity=f"path:{path};size:{size}", model="", size=size, sector_size=512, **members
    )


def known(start: int, size: int, holder: str | None = None) -> KernelPartition:
    return KernelPartition(device="/dev/ogagent-no-such", start=start, size=size, holder=holder)


@pytest.fixture
def disk(tool: Callable[..., str], sparse: Callable[[int], Path]) -> Path:
    path = sparse(64 * MIB)
    tool("sfdisk", "-q", path, stdin=SCRIPT)
    return path


def mounted(disk: Disk) -> dict[int, str | None]:
    return {part.partition: part.mounted for part in disk.partitions}


async def test_partitions_that_the_kernel_does_not_know(disk: Path, tool: Callable[..., str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('NAME="Ubuntu"\nVERSION_ID="24.04"\n')
    tool("mke2fs", "-q", "-t", "ext4", "-L", "ROOT", "-d", root, "-E", f"offset={17 * MIB}", disk, "32M")
    found = await read_disk(3, kernel(disk, 64 * MIB))
    assert (found.disk, found.device, found.table, found.size) == (3, str(disk), "gpt", 64 * MIB)
    efi, system, rest = found.partitions
    assert (efi.partition, efi.start, efi.size, efi.code, efi.filesystem) == (1, MIB, 16 * MIB, "EF00", "")
    assert (system.partition, system.start, system.size, system.code) == (2, 17 * MIB, 32 * MIB, "8300")
    assert (system.filesystem, system.label, system.name, system.os) == ("ext4", "ROOT", "system", "Ubuntu 24.04")
    assert system.used == 0
    assert (rest.partition, rest.device, rest.used, rest.mounted) == (5, f"{disk}5", None, None)


async def test_what_takes_longest_is_left_out(disk: Path, tool: Callable[..., str], tmp_path: Path) -> None:
    """A plan wants neither."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('NAME="Ubuntu"\nVERSION_ID="24.04"\n')
    tool("mke2fs", "-q", "-t", "ext4", "-L", "ROOT", "-d", root, "-E", f"offset={17 * MIB}", disk, "32M")
    thorough, brief = [await read_disk(1, kernel(disk, 64 * MIB), Reading(thorough=each)) for each in (True, False)]
    left_out = [replace(part, os="", used=None) for part in thorough.partitions]
    assert list(brief.partitions) == left_out != list(thorough.partitions)


async def test_disk_without_a_table(sparse: Callable[[int], Path]) -> None:
    found = await read_disk(1, kernel(sparse(MIB), MIB))
    assert (found.table, found.partitions, found.size, found.problem) == (None, (), MIB, "")


async def test_disk_that_cannot_be_read_is_still_listed(caplog: pytest.LogCaptureFixture) -> None:
    found = await read_disk(2, kernel("/dev/ogagent-no-such", MIB))
    assert (found.disk, found.size, found.table, found.partitions) == (2, MIB, None, ())
    assert found.problem == f"{UNREADABLE}: No such file or directory"
    assert "the partition table of /dev/ogagent-no-such cannot be read" in caplog.text


async def test_partition_that_cannot_be_read_is_still_listed(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = {1: known(MIB, 16 * MIB)}
    found = await read_disk(1, kernel(disk, 64 * MIB, partitions=parts))
    assert [(part.partition, part.filesystem) for part in found.partitions] == [(1, ""), (2, ""), (5, "")]
    assert "/dev/ogagent-no-such at 0 cannot be read" in caplog.text
    first, *others = found.partitions
    assert first.problem == f"{UNREADABLE}: No such file or directory"
    assert {part.problem for part in others} == {OLDER_TABLE}  # the kernel knows no other than the first


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({2: known(17 * MIB, 32 * MIB, "/home")}, {1: None, 2: "/home", 5: None}),
        ({5: known(49 * MIB, 8 * MIB, "[SWAP]")}, {1: None, 2: None, 5: "[SWAP]"}),
        # The kernel still goes by an older table, in which partition 1 lay where 2 and 5 are now.
        ({1: known(48 * MIB, 4 * MIB, "/home")}, {1: None, 2: "/home", 5: "/home"}),
        ({9: known(60 * MIB, MIB, "/home")}, {1: None, 2: None, 5: None}),
    ],
)
async def test_what_holds_the_bytes_of_a_partition_holds_it(
    disk: Path, parts: Mapping[int, KernelPartition], expected: Mapping[int, str | None]
) -> None:
    assert mounted(await read_disk(1, kernel(disk, 64 * MIB, partitions=parts))) == expected


async def test_a_kernel_that_goes_by_an_older_table(disk: Path) -> None:
    parts = {1: known(MIB, 16 * MIB), 2: known(18 * MIB, 31 * MIB)}
    found = await read_disk(1, kernel(disk, 64 * MIB, partitions=parts))
    assert [part.problem for part in found.partitions] == [
        f"{UNREADABLE}: No such file or directory",
        OLDER_TABLE,
        OLDER_TABLE,
    ]


async def test_a_kernel_that_has_read_no_table_is_no_problem(disk: Path) -> None:
    found = await read_disk(1, kernel(disk, 64 * MIB))
    assert [part.problem for part in found.partitions] == ["", "", ""]


async def test_what_holds_the_disk_holds_each_partition(disk: Path) -> None:
    found = await read_disk(1, kernel(disk, 64 * MIB, holder="[md0]"))
    assert mounted(found) == {1: "[md0]", 2: "[md0]", 5: "[md0]"}


async def test_extended_partition_is_held_by_what_holds_a_logical_one(
    tool: Callable[..., str], sparse: Callable[[int], Path]
) -> None:
    path = sparse(64 * MIB)
    tool("sfdisk", "-q", path, stdin="label: dos\n1: start=1M, size=40M, type=f\n5: start=2M, size=8M, type=83\n")
    parts = {1: known(MIB, 1024), 5: known(2 * MIB, 8 * MIB, "/home")}
    found = await read_disk(1, kernel(path, 64 * MIB, partitions=parts))
    assert mounted(found) == {1: "/home", 5: "/home"}
    assert not found.partitions[0].problem  # two sectors of it are all that the kernel shows


async def test_strange_names_are_fit_to_be_shown(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    path = sparse(16 * MIB)
    tool("sfdisk", "-q", path, stdin='label: gpt\n1: size=1M, name="a\\x1b[31m b"\n')
    found = await read_disk(1, kernel(path, 16 * MIB, holder="/mnt/\udcffa\nb"))
    (part,) = found.partitions
    assert part.name.isprintable()
    assert part.mounted == "/mnt/?a?b"
