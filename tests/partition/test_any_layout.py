"""What holds of every plan."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import assume, given
from hypothesis import strategies as st

from ogagent.disk.layout import Layout, Span, is_extended, own_spans, span_of
from ogagent.errors import (
    Refusal,
    TableDoesNotFit,
)
from ogagent.model.disk import Disk, Partition, TableKind
from ogagent.model.units import KIB, MIB
from ogagent.partition.layout import ENTRIES, plan_table
from ogagent.partition.plan import TablePlan
from tests.partition.disks import asked, disk, own_rows

TIB: Final = 1 << 40


def plan(cfg: object, on: Disk, firmware: Any = "uefi") -> TablePlan:
    return plan_table(asked(cfg), on, firmware)


def fates(made: TablePlan) -> dict[int, str]:
    return {part.number: part.fate for part in made.partitions}


_SIZES = st.sampled_from([512 * MIB, 1024 * MIB, 1024 * MIB + 512 * 7 * 8, 3 * TIB])
_KINDS = st.sampled_from(["LINUX", "NTFS", "FAT32", "EFI", "LINUX-SWAP", "83", "7", "EMPTY"])


@st.composite
def disks(draw: st.DrawFn, cache: bool = False) -> Disk:
    """With a CACHE behind the others, if there is to be one."""
    sector = draw(st.sampled_from([512, 4096]))
    size = draw(_SIZES)
    table: TableKind = draw(st.sampled_from(["gpt", "msdos"]))
    end, cursor, number, found = size - sector - ENTRIES, MIB, 0, list[Partition]()
    codes = {"gpt": ["8300", "0700", "EF00", "0000"], "msdos": ["83", "7", "ef", "c"]}[table]
    for _ in range(draw(st.integers(0, 3))):
        number += draw(st.integers(1, 2))
        start = cursor + draw(st.sampled_from([0, MIB, 63 * sector, 50 * MIB]))
        length = draw(st.integers(1, 200 * MIB // sector)) * sector
        if start + length > end or number > 4:
            break
        found.append(
            Partition(
                partition=number,
                device=f"/dev/sda{number}",
                start=start,
                size=length,
                code=draw(st.sampled_from(codes)),
                filesystem="ext4",
            )
        )
        cursor = start + length
    if cache:
        start = (cursor + 10 * MIB) // MIB * MIB
        where = Partition(
            partition=4, device="", start=start, size=20 * MIB, code=codes[0], filesystem="ext4", label="CACHE"
        )
        found = [*(part for part in found if part.partition < 4 and part.start + part.size < start), where]
    return disk(*found, table=table, size=size, sector_size=sector)


@st.composite
def requests(draw: st.DrawFn, there: Disk) -> list[dict[str, str]]:
    head: dict[str, str] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "ttp": st.sampled_from(["GPT", "MSDOS"]),
                "che": st.sampled_from("01"),
                "tch": st.integers(1, 300 * KIB).map(str),
            },
        )
    )
    wanted = [dict(row) for row in own_rows(there)[1:] if draw(st.booleans())]
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.integers(1, 300 * KIB))
        wanted.append({"par": str(draw(st.integers(1, 7))), "cpt": draw(_KINDS), "tam": str(size)})
    if draw(st.booleans()):
        wanted.append({"par": "2", "cpt": "EXTENDED", "tam": str(draw(st.integers(1, 300 * KIB)))})
    for row in wanted:
        row["ope"] = draw(st.sampled_from("001"))
    with_the_rest: bool = draw(st.booleans())
    if wanted and with_the_rest:
        max(wanted, key=lambda row: int(row["par"])).pop("tam", None)
    return [head or {"dis": "1"}, *wanted]


def check(made: TablePlan, there: Disk) -> None:
    copy = there.sector_size + ENTRIES
    usable = Span(there.sector_size + copy, there.size - copy)
    own = own_spans(made.table, there.size, there.sector_size, usable=usable, links=())
    entries = [_Entry(part) for part in made.partitions]
    layout = Layout(kind=made.table, size=there.size, entries=entries, own=own)
    assert [problem for entry in entries if (problem := layout.problem_of(entry))] == []
    for part in made.partitions:
        assert part.start % there.sector_size == 0
        assert part.size % there.sector_size == 0
        old = [span_of(each) for each in there.partitions]
        extended = is_extended(made.table, part.code)
        assert part.start % MIB == 0 or span_of(part) in old or (extended and part.start % MIB < 64 * KIB)
        if part.fate == "kept":
            assert span_of(part) in old
            assert not part.filesystem
    kept = [span_of(part) for part in made.partitions if part.fate == "kept"]
    for gone in made.lost:
        assert span_of(gone) not in kept


class _Entry:
    def __init__(self, part: Any) -> None:
        self.number, self.start, self.size, self.type = part.number, part.start, part.size, part.code


@given(st.data(), disks())
def test_no_plan_overlaps_or_leaves_the_disk_or_is_off_the_mib(data: st.DataObject, there: Disk) -> None:
    try:
        made = plan(data.draw(requests(there)), there)
    except Refusal:
        assume(False)
        return
    check(made, there)


@given(disks())
def test_any_inventory_sent_back_changes_nothing(there: Disk) -> None:
    assume(there.partitions)
    made = plan(own_rows(there), there)

    assert set(fates(made).values()) == {"kept"}
    assert len(made.partitions) == len(there.partitions)


@given(st.data(), disks())
def test_a_kept_row_is_lost_to_none_that_comes_after_it(data: st.DataObject, there: Disk) -> None:
    """Rows that are there, and one more at the end: where it does not fit the call is refused."""
    assume(there.partitions and there.partitions[-1].partition < 4)
    more = {"par": str(there.partitions[-1].partition + 1), "cpt": "LINUX", "tam": str(data.draw(st.integers(1, MIB)))}
    try:
        made = plan([*own_rows(there), more], there)
    except TableDoesNotFit:
        return
    assert [part.fate for part in made.partitions if part.number < int(more["par"])] == ["kept"] * len(there.partitions)


@given(st.data(), disks(cache=True))
def test_a_cache_whose_place_and_size_stay_is_kept(data: st.DataObject, there: Disk) -> None:
    cache = there.partitions[-1]
    request = data.draw(requests(there))
    others = [row for row in request[1:] if row["par"] not in ("0", str(cache.partition))]
    said = data.draw(st.sampled_from([{}, {"che": "1", "tch": str(cache.size // KIB)}]))
    try:
        made = plan([{**request[0], "che": None, "tch": None, **said}, *others], there)
    except Refusal:
        return
    assert [part.fate for part in made.partitions if span_of(part) == span_of(cache)] == ["kept"]


@given(st.data(), disks(cache=True))
def test_a_cache_with_a_row_of_its_own_is_kept_whatever_its_number_and_whoever_has_its_old_one(
    data: st.DataObject, there: Disk
) -> None:
    cache = there.partitions[-1]
    number = str(data.draw(st.integers(1, 4)))
    named = {"par": number, "cpt": "CACHE", "tam": str(cache.size // KIB), "ope": "0"}
    size = data.draw(st.integers(1, 300 * KIB).filter(lambda kib: kib * KIB != cache.size))
    newcomer = {"par": str(cache.partition), "cpt": data.draw(_KINDS), "tam": str(size)}
    others = [row for row in [*own_rows(there)[1:-1], newcomer] if row["par"] != number]
    try:
        made = plan([named, *others], there)
    except TableDoesNotFit:
        return
    assert [part.fate for part in made.partitions if span_of(part) == span_of(cache)] == ["kept"]


@given(st.data(), disks())
def test_what_was_made_and_is_asked_for_again_is_kept(data: st.DataObject, there: Disk) -> None:
    request = [{**row, "ope": "0"} for row in data.draw(requests(there))]
    try:
        made = plan(request, there)
    except Refusal:
        assume(False)
        return
    parts = [
        Partition(
            partition=part.number,
            device="",
            start=part.start,
            size=part.size,
            code="8300" if part.code == "CA00" else part.code,
            filesystem="ext4",
            label="CACHE" if part.label or part.name or _was_cache(part, there) else "",
        )
        for part in made.partitions
    ]
    after = disk(*parts, table=made.table, size=there.size, sector_size=there.sector_size)
    again = plan(request, after)
    assert set(fates(again).values()) <= {"kept"}


def _was_cache(part: Any, there: Disk) -> bool:
    return any(old.cache and span_of(old) == span_of(part) for old in there.partitions)
