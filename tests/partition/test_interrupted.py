"""Power that goes at any point: the table is the old one or the new one, by those who read it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import Struct

from ogagent.disk.gap import GAP
from ogagent.disk.record import record_of
from ogagent.model.units import MIB
from ogagent.partition.change import TableChange
from ogagent.partition.layout import plan_table
from ogagent.partition.plan import TablePlan
from ogagent.partition.writer import prepare, write
from tests.faults.bench import Matrix
from tests.partition.disks import asked, rows
from tests.partition.judges import (
    Recorded,
    Table,
    disk_of,
    first_gpt_is_whole,
    opened,
    run,
    sgdisk_is_content,
    table_by_sfdisk,
)

SIZE: Final = 64 * MIB
RECORD: Final = record_of("serial:1", SIZE, {"dsk": "1"}, job_id="Configurar-dfa42888", started="")
CACHE: Final = {"che": "1", "tch": str(10 * 1024)}

GPT: Final = """label: gpt
start=1MiB, size=8MiB, type=uefi, name=EFI
start=9MiB, size=12MiB, type=linux
start=21MiB, size=10MiB, type=linux
4: start=53MiB, size=10MiB, type=linux, name=CACHE
"""
MSDOS: Final = """label: dos
start=1MiB, size=8MiB, type=7, bootable
start=9MiB, size=12MiB, type=83
3: start=21MiB, size=10MiB, type=83
4: start=53MiB, size=10MiB, type=ca
"""
LOGICAL: Final = """label: dos
start=1MiB, size=8MiB, type=7
2: start=9MiB, size=40MiB, type=f
5: start=10MiB, size=8MiB, type=83
6: start=19MiB, size=8MiB, type=83
7: start=28MiB, size=8MiB, type=83
"""
CACHE_TO_THE_END: Final = GPT.replace("start=53MiB, size=10MiB", f"start={53 * 2048}, size={21 * 1024}")
LOW: Final = "label: gpt\nfirst-lba: 34\nstart=34, size=2048, type=linux\nstart=9MiB, size=12MiB, type=linux\n"
FULL_TO_THE_END: Final = "label: dos\nstart=1MiB, size=8MiB, type=7\nstart=9MiB, type=83\n"

CASES: Final = {
    "gpt, a partition grows": (GPT, [CACHE, *rows((1, "EFI", 8), (2, "LINUX", 14), (3, "LINUX", 10))]),
    "gpt, all new": (GPT, [{"che": "0"}, *rows((1, "NTFS", 20), (2, "LINUX", 20))]),
    "gpt, one fewer": (GPT, [CACHE, *rows((1, "EFI", 8), (3, "LINUX", 10))]),
    "gpt, no room beside the entries": (LOW, [CACHE, *rows((1, "LINUX", 1), (2, "LINUX", 9))]),
    "gpt, only the copy is whole": (GPT, [CACHE, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "nothing but what protects a gpt": (GPT, [{**CACHE, "ttp": "GPT"}, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "a gpt for a larger disk": (GPT, [{**CACHE, "ttp": "GPT"}, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "gpt to msdos": (GPT, [{**CACHE, "ttp": "MSDOS"}, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "gpt to msdos, a CACHE in the last MiB": (
        CACHE_TO_THE_END,
        [{"ttp": "MSDOS"}, *rows((1, "EFI", 8), (2, "LINUX", 14))],
    ),
    "msdos to gpt": (MSDOS, [{**CACHE, "ttp": "GPT"}, *rows((1, "NTFS", 8), (2, "LINUX", 14))]),
    "msdos full to the end to gpt": (FULL_TO_THE_END, [{"ttp": "GPT"}, *rows((1, "NTFS", 8), (2, "LINUX", 20))]),
    "msdos": (MSDOS, [CACHE, *rows((1, "NTFS", 8), (2, "LINUX", 14))]),
    "nothing to gpt": ("", [{**CACHE, "ttp": "GPT"}, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "nothing to msdos": ("", [{**CACHE, "ttp": "MSDOS"}, *rows((1, "NTFS", 8), (2, "LINUX", 14))]),
    "a logical one grows": (
        LOGICAL,
        rows((1, "NTFS", 8), (2, "EXTENDED", 40), (5, "LINUX", 8), (6, "LINUX", 12), (7, "LINUX", 8)),
    ),
    "a logical one goes, and a primary changes": (
        LOGICAL,
        rows((1, "NTFS", 7), (2, "EXTENDED", 40), (5, "LINUX", 8), (6, "LINUX", 8)),
    ),
    "primary instead of extended": (LOGICAL, rows((1, "NTFS", 8), (2, "LINUX", 40))),
    "logical ones to gpt": (LOGICAL, [{"ttp": "GPT"}, *rows((1, "NTFS", 8), (5, "LINUX", 8), (6, "LINUX", 8))]),
    "extended elsewhere": (
        LOGICAL,
        rows((1, "NTFS", 17), (2, "EXTENDED", 30), (5, "LINUX", 8), (6, "LINUX", 8)),
    ),
    "the extended one of another size": (
        LOGICAL,
        rows((1, "NTFS", 8), (2, "EXTENDED", 45), (5, "LINUX", 8), (6, "LINUX", 8)),
    ),
}


class Case(Struct, kw_only=True):
    disk: Path
    plan: TablePlan
    change: TableChange
    writes: list[list[tuple[int, bytes]]]
    old: Table
    new: Table
    before: Path
    damaged: bool


def _fill(disk: Path, *, gpt: bool) -> None:
    """Every sector that is not the table's says which it is, but where the disk may say whose job it is."""
    content = disk.read_bytes()
    own = {*range(34), *range(SIZE // 512 - 33, SIZE // 512)} if gpt else {0}
    own |= {*range(GAP.start // 512, GAP.end // 512)}
    sectors = [content[at : at + 512] for at in range(0, SIZE, 512)]
    disk.write_bytes(
        b"".join(each if any(each) or at in own else b"%-16d" % at * 32 for at, each in enumerate(sectors))
    )


DAMAGED: Final = ("gpt, only the copy is whole", "nothing but what protects a gpt")


def damage(disk: Path, case: str) -> None:
    with disk.open("r+b") as file:
        if case in DAMAGED:
            file.seek(512)
            file.write(b"damaged")
        if case == "nothing but what protects a gpt":
            file.seek(SIZE - 512)
            file.write(b"damaged")


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    script, cfg = CASES[request.param]
    directory = tmp_path_factory.mktemp("disk")
    disk, before = directory / "disk", directory / "before"
    with disk.open("xb") as file:
        file.truncate(SIZE + MIB if request.param == "a gpt for a larger disk" else SIZE)
    if script:
        run("sfdisk", "--quiet", disk, stdin=script)
        os.truncate(disk, SIZE)
        _fill(disk, gpt="gpt" in script)
    damage(disk, request.param)
    shutil.copy(disk, before)
    plan = plan_table(asked(cfg), asyncio.run(disk_of(disk)), "uefi")
    old = table_by_sfdisk(disk)
    with opened(disk) as device:
        recorded = Recorded(device)
        change = prepare(recorded, plan)
        write(recorded, plan, change, RECORD)
    return Case(
        disk=disk,
        plan=plan,
        change=change,
        writes=[batch for batch in recorded.writes if batch],
        old=old,
        new=table_by_sfdisk(disk),
        before=before,
        damaged=request.param in DAMAGED,
    )


def cuts(case: Case) -> Iterator[list[tuple[int, bytes]]]:
    """All that may have arrived when the power goes: what was flushed, and any of what came after, sector by sector."""
    chance = random.Random(7)
    done: list[tuple[int, bytes]] = []
    for batch in case.writes:
        yield list(done)
        yield [*done, *batch[: chance.randint(0, len(batch))]]
        sectors = [(offset + at, data[at : at + 512]) for offset, data in batch for at in range(0, len(data), 512)]
        yield [*done, *chance.sample(sectors, chance.randint(0, len(sectors)))]
        done += batch
    yield done


def cut(case: Case, arrived: list[tuple[int, bytes]], *, dirty: bool = False) -> None:
    """The disk is as it was, but for what has arrived."""
    with case.disk.open("r+b") as file, case.before.open("rb") as before:
        pieces = [(piece.offset, piece.new) for step in case.change.steps for piece in step]
        pieces += [(part.start, bytes(part.size)) for part in case.plan.emptied if dirty]
        for offset, data in [*pieces, *(each for batch in case.writes for each in batch)]:
            before.seek(offset)
            file.seek(offset)
            file.write(before.read(len(data)))
        for offset, data in arrived:
            file.seek(offset)
            file.write(data)


def test_the_new_table_is_that_of_the_plan(case: Case) -> None:
    assert case.new is not None
    kind, found = case.new
    assert kind == {"gpt": "gpt", "msdos": "dos"}[case.plan.table]
    assert {number: (row.start * 512, row.size * 512) for number, row in found.items()} == {
        part.number: (part.start, part.size) for part in case.plan.partitions
    }
    if kind == "gpt":
        sgdisk_is_content(case.disk)


def test_at_each_point_the_table_is_the_old_or_the_new_one(case: Case, matrix: Matrix) -> None:
    seen = set()
    for number, arrived in enumerate(cuts(case)):
        with matrix.cell("table", f"cut {number}"):
            cut(case, arrived)
            found = table_by_sfdisk(case.disk)
            assert found in (case.old, case.new)
            seen.add(found == case.new)
    assert seen == {False, True}


def test_a_gpt_is_whole_at_each_point_for_who_asks_the_first_one_only(case: Case) -> None:
    """Where there is room to write another beside it."""
    beside = min(part.start for part in case.plan.partitions) >= MIB
    if case.plan.was == case.plan.table == "gpt" and beside and not case.damaged:
        for arrived in cuts(case):
            cut(case, arrived)
            assert first_gpt_is_whole(case.disk)


def test_what_is_kept_is_never_touched(case: Case) -> None:
    cut(case, [each for batch in case.writes for each in batch])
    kept = case.plan.kept
    for batch in case.writes:
        for offset, data in batch:
            assert not any(offset < span.end and span.start < offset + len(data) for span in kept)
    before, after = case.before.read_bytes(), case.disk.read_bytes()
    for span in kept:
        assert before[span.start : span.end] == after[span.start : span.end]


def test_recovery_completes_or_undoes(case: Case, matrix: Matrix) -> None:
    change = msgspec.json.decode(msgspec.json.encode(case.change), type=TableChange)
    for number, arrived in enumerate(cuts(case)):
        with matrix.cell("table", f"recovery after cut {number}"):
            cut(case, arrived)
            in_force = table_by_sfdisk(case.disk)
            with opened(case.disk) as device:
                settled = change.settle(device)
            table = table_by_sfdisk(case.disk)
            assert table == in_force == {"old": case.old, "new": case.new}[settled]
            if table and table[0] == "gpt" and not (settled == "old" and case.damaged):
                sgdisk_is_content(case.disk)


def test_recovery_that_is_cut_off_is_taken_up_again(case: Case) -> None:
    for arrived in list(cuts(case))[::3]:
        cut(case, arrived)
        with opened(case.disk) as device:
            recorded = Recorded(device)
            settled = case.change.settle(recorded)
        for count in range(sum(map(len, recorded.writes))):
            cut(case, [*arrived, *[each for batch in recorded.writes for each in batch][:count]])
            with opened(case.disk) as device:
                assert case.change.settle(device) == settled


def test_what_begins_anew_is_empty(case: Case) -> None:
    cut(case, [each for batch in case.writes for each in batch])
    content = case.disk.read_bytes()
    for part in case.plan.emptied:
        inside = content[part.start : part.start + part.size]
        assert not any(inside[:MIB])
        assert not any(inside[-MIB:])


def test_what_somebody_else_has_made_of_it_since_is_left_alone(case: Case, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copy(case.disk, other)
    run("sfdisk", "--quiet", "--wipe", "always", other, stdin="label: gpt\nsize=20MiB\nsize=7MiB\n")
    before = other.read_bytes()
    with opened(other) as device:
        assert case.change.settle(device) in ("foreign", "old")
    assert other.read_bytes() == before


def test_what_was_made_in_a_new_partition_is_not_touched_by_recovery(case: Case) -> None:
    cut(case, [each for batch in case.writes for each in batch])
    with case.disk.open("r+b") as file:
        for part in case.plan.emptied:
            file.seek(part.start)
            file.write(b"made" * (part.size // 4))
    before = case.disk.read_bytes()
    with opened(case.disk) as device:
        assert case.change.settle(device) == "new"
    assert case.disk.read_bytes() == before
    cut(case, [], dirty=True)
