"""Whatever one disk, partition or tool says costs its own row at most, and that row says so."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ogagent.disk.codes import mark_cache
from ogagent.disk.inventory import read_disk
from ogagent.disk.kernel import KernelDisk
from ogagent.model.disk import UNREADABLE, Disk
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, read_table, write_table

MIB = 1 << 20
SIZE = 32 * MIB
Tool = Callable[..., str]


def kernel(path: Path | str, **members: Any) -> KernelDisk:
    return KernelDisk(device=str(path), identity=f"path:{path}", model="", size=SIZE, sector_size=512, **members)


@pytest.fixture
def disk(tool: Tool, sparse: Callable[[int], Path]) -> Path:
    path = sparse(SIZE)
    tool("sfdisk", "-q", path, stdin="label: gpt\n1: start=1M, size=8M, type=linux, name=one\n2: size=8M, name=two\n")
    tool("mke2fs", "-q", "-t", "ext4", "-L", "system", "-E", f"offset={MIB}", path, "8M")
    return path


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script in the place of a program; ``$REAL`` in it is the program."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def place(program: str, script: str) -> None:
        real = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
        (directory / program).write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
        (directory / program).chmod(0o755)

    return place


def rows(disk: Disk) -> list[tuple[int, str]]:
    return [(part.partition, part.filesystem) for part in disk.partitions]


SFDISK = {
    "nonsense": "echo nonsense",
    "nothing": "true",
    "half of it": '$REAL "$@" | head -c 300',
    "numbers that are none": """$REAL "$@" | sed 's/"start": 2048/"start": "2048x"/'""",
    "a number below zero": """$REAL "$@" | sed 's/"size": 16384/"size": -16384/'""",
    "another table": """$REAL "$@" | sed 's/"gpt"/"dos"/'""",
    "another disk": """$REAL "$@" | sed 's/"node": "/"node": "x/'""",
    "too much": "yes",
    "a failure": "echo no such luck; echo '\033[2Jmal\377' >&2; exit 1",
    "an end by a signal": "kill -9 $$",
    "bytes": "head -c 4096 /dev/urandom",
}


@pytest.mark.parametrize("what", SFDISK)
async def test_sfdisk_says(disk: Path, instead: Callable[[str, str], None], what: str) -> None:
    instead("sfdisk", SFDISK[what])
    found = await read_disk(1, kernel(disk))
    assert (found.disk, found.size, found.table, found.partitions) == (1, SIZE, None, ())
    assert found.problem.startswith(f"{UNREADABLE}: ")
    assert "sfdisk" in found.problem
    assert found.problem.isprintable()
    assert len(found.problem) < 200


async def test_sfdisk_hangs_on_one_disk_of_two(disk: Path, instead: Callable[[str, str], None], tmp_path: Path) -> None:
    other = Path(shutil.copy(disk, tmp_path / "other.img"))
    instead("sfdisk", f'[ "$2" = {shlex.quote(str(disk))} ] && exec sleep 1000; exec $REAL "$@"')
    first, second = [await read_disk(number, kernel(path)) for number, path in enumerate((disk, other), start=1)]
    assert first.problem == f"{UNREADABLE}: sfdisk did not end within 10 s"
    assert (second.problem, rows(second)) == ("", [(1, "ext4"), (2, "")])


@pytest.mark.parametrize(
    "what", ["yes", "true", "exit 1", "kill -9 $$", "head -c 4096 /dev/urandom", "exec cat /dev/zero"]
)
async def test_debugfs_says(disk: Path, instead: Callable[[str, str], None], what: str) -> None:
    instead("debugfs", what)
    found = await read_disk(1, kernel(disk))
    assert rows(found) == [(1, "ext4"), (2, "")]
    assert found.partitions[0].os == ""


NAMES = ["a\ud800b", "\udfff", "\ud83d\ude00", "\x1b[2J", "\ufffe", "[/b]", "\u202e", '"\\', "x" * 36]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name(disk: Path, name: str) -> None:
    """Written into the table as it is, for sfdisk would not write each of these."""
    _rename_first(disk, name)
    found = await read_disk(1, kernel(disk))
    assert rows(found) == [(1, "ext4"), (2, "")]
    first, second = found.partitions
    assert first.name.isprintable()
    assert (first.problem, second.name) == ("", "two")
    first.name.encode()


def _rename_first(disk: Path, name: str) -> None:
    with disk.open("r+b") as file:
        table = read_table(file.fileno())
        assert table is not None
        first, second = table.entries
        named = Entry(number=1, start=first.start, size=first.size, type=first.type, name=name)
        write_table(file, SIZE, (named, second))


@pytest.mark.parametrize("label", [b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J\x07", b"[/x]", b"\xf0\x9f"])
async def test_a_label(disk: Path, label: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(MIB + 1024 + 120)
        file.write(label.ljust(16, b"\0"))
    (first, second) = (await read_disk(1, kernel(disk))).partitions
    assert first.label.isprintable()
    assert (second.partition, second.problem) == (2, "")


async def test_a_superblock_that_lies(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(MIB + 1024 + 4)
        file.write(b"\xff" * 28)
    found = await read_disk(1, kernel(disk))
    assert [part.partition for part in found.partitions] == [1, 2]
    assert found.partitions[0].used is None


async def test_a_partition_far_beyond_the_disk_is_not_looked_into(sparse: Callable[[int], Path]) -> None:
    """Its first byte is more than a file can have."""
    path = sparse(SIZE)
    with path.open("r+b") as file:
        entries = [Entry(number=n, start=s, size=8 * MIB, type=LINUX_FILESYSTEM) for n, s in ((1, MIB), (2, 1 << 63))]
        write_table(file, SIZE, entries)
    first, second = (await read_disk(1, kernel(path))).partitions
    assert first.problem == ""
    assert second.problem == f"it reaches beyond the end of the disk, which has {SIZE} bytes"


async def test_a_disk_of_which_the_kernel_says_nothing(disk: Path) -> None:
    found = await read_disk(1, kernel(disk, problem=f"{UNREADABLE}: the kernel is silent"))
    assert (found.table, found.partitions, found.problem) == (None, (), f"{UNREADABLE}: the kernel is silent")


async def test_what_shares_bytes_with_the_cache_is_told_by_name(tool: Tool, sparse: Callable[[int], Path]) -> None:
    path = sparse(SIZE)
    script = "label: dos\n1: start=1M, size=12M, type=83\n4: start=13M, size=8M, type=ca\n"
    tool("sfdisk", "-q", path, stdin=script)
    with path.open("r+b") as file:
        file.seek(446 + 12)
        file.write((13 * 2048).to_bytes(4, "little"))
    (found,) = mark_cache([await read_disk(1, kernel(path))])
    assert [(part.partition, part.problem) for part in found.partitions] == [
        (1, "it shares bytes with partition 4, the CACHE"),
        (4, "it shares bytes with partition 1"),
    ]
