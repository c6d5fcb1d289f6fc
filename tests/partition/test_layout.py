"""Plans: what is kept, what is new, where it lies, and what is refused."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from ogagent.disk.layout import Layout, Span, is_extended, own_spans, span_of
from ogagent.errors import (
    DiskNotPartitioned,
    FilesystemNotSupported,
    InvalidField,
    MissingField,
    PartitionInUse,
    PartitionOverlaps,
    Refusal,
    TableDoesNotFit,
)
from ogagent.model.disk import OLDER_TABLE, Disk, Partition, TableKind
from ogagent.model.units import KIB, MIB
from ogagent.partition.layout import ENTRIES, plan_table
from ogagent.partition.plan import TablePlan
from tests.partition.disks import asked, disk, own_rows, partition, rows

TIB: Final = 1 << 40


def plan(cfg: object, on: Disk, firmware: Any = "uefi") -> TablePlan:
    return plan_table(asked(cfg), on, firmware)


def fates(made: TablePlan) -> dict[int, str]:
    return {part.number: part.fate for part in made.partitions}


CACHED: Final = disk(
    partition(1, 1, 100, "EF00", filesystem="vfat"),
    partition(2, 101, 300),
    partition(3, 401, 300, "0700", filesystem="ntfs"),
    partition(4, 801, 200, label="CACHE"),
)
LOGICAL: Final = disk(
    partition(1, 1, 99, "7", filesystem="ntfs"),
    partition(2, 100, 600, "f", filesystem=""),
    partition(5, 101, 99, "83"),
    partition(6, 201, 99, "83"),
    table="msdos",
)


@pytest.mark.parametrize("there", [CACHED, LOGICAL], ids=["gpt", "msdos"])
def test_an_inventory_sent_back_changes_nothing(there: Disk) -> None:
    made = plan(own_rows(there), there)

    assert set(fates(made).values()) == {"kept"}
    assert [(part.number, part.start, part.size, part.code) for part in made.partitions] == [
        (part.partition, part.start, part.size, part.code) for part in there.partitions
    ]
    assert not made.lost


def test_sizes_that_are_none_of_whole_kib_are_meant_by_the_inventory_s() -> None:
    odd = replace(partition(1, 1, 100), start=34 * 512, size=100 * MIB + 512)
    there = disk(odd, partition(2, 200, 10))

    assert fates(plan(own_rows(there), there)) == {1: "kept", 2: "kept"}


def test_a_partition_that_grows_takes_the_place_of_those_after_it_and_not_of_the_cache() -> None:
    made = plan(rows((1, "EFI", 100), (2, "LINUX", 400), (3, "NTFS", 200)), CACHED)

    assert fates(made) == {1: "kept", 2: "moved", 3: "moved", 4: "kept"}
    assert [part.partition for part in made.lost] == [2, 3]


def test_what_is_asked_to_be_formatted_stays_in_its_place() -> None:
    made = plan(rows((1, "EFI", 100), (2, "LINUX", 300), ope="1"), CACHED)

    assert fates(made) == {1: "emptied", 2: "emptied", 4: "kept"}
    assert [part.filesystem for part in made.partitions] == ["FAT32", "EXT4", ""]
    assert [part.partition for part in made.lost] == [1, 2, 3]


def test_the_last_one_has_the_rest_and_keeps_it() -> None:
    made = plan("dis=1!par=1*cpt=EFI*tam=102400%par=2*cpt=LINUX", disk(table=None))
    second = made.partitions[1]

    assert (second.start, second.start + second.size) == (101 * MIB, 1023 * MIB)
    there = disk(partition(1, 1, 100, "EF00"), partition(2, 101, 922))
    assert set(fates(plan("dis=1!par=1*cpt=EFI*tam=102400%par=2*cpt=LINUX", there)).values()) == {"kept"}


def test_the_cache_is_made_at_the_end_with_number_four() -> None:
    made = plan("dis=1*che=1*tch=102400!par=1*cpt=LINUX*ope=1", disk(table=None))
    cache = made.partitions[-1]

    assert (cache.number, cache.start, cache.size) == (4, 923 * MIB, 100 * MIB)
    assert (cache.code, cache.name, cache.label, cache.filesystem) == ("CA00", "CACHE", "CACHE", "EXT4")


def test_another_number_for_the_cache_where_four_is_taken() -> None:
    gpt = plan([{"che": "1", "tch": "102400"}, *rows(*((n, "LINUX", 10) for n in (1, 2, 3, 4)))], disk(table=None))
    msdos = plan(
        [{"che": "1", "tch": "102400", "ttp": "MSDOS"}, *rows((1, "LINUX", 10), (4, "LINUX", 9))], disk(table=None)
    )

    assert [part.number for part in gpt.partitions if part.label] == [5]
    assert [part.number for part in msdos.partitions if part.label] == [3]


@pytest.mark.parametrize("cfg", ["dis=1!par=1*cpt=EFI*tam=102400", "dis=1*che=1*tch=204800!par=1*cpt=EFI*tam=102400"])
def test_a_cache_is_kept_when_nothing_or_the_same_is_said_of_it(cfg: str) -> None:
    assert fates(plan(cfg, CACHED))[4] == "kept"


def test_a_cache_of_another_size_is_made_anew_and_without_one_it_goes() -> None:
    assert fates(plan("dis=1*che=1*tch=102400!par=1*cpt=EFI*tam=102400", CACHED)) == {1: "kept", 4: "moved"}
    assert fates(plan("dis=1*che=0!par=1*cpt=EFI*tam=102400", CACHED)) == {1: "kept"}


def test_a_cache_that_never_got_its_file_system_gets_one() -> None:
    there = disk(partition(4, 801, 200, filesystem="", name="CACHE"))
    assert fates(plan("dis=1*che=1*tch=204800!", there)) == {4: "emptied"}
    assert fates(plan(own_rows(there), there)) == {4: "kept"}


@pytest.mark.parametrize(("firmware", "table"), [("uefi", "gpt"), ("bios", "msdos")])
def test_the_kind_of_a_new_table_follows_the_firmware(firmware: str, table: str) -> None:
    assert plan("dis=1!par=1*cpt=LINUX", disk(table=None), firmware).table == table
    assert plan("dis=1!par=1*cpt=83", LOGICAL, firmware).table == "msdos"


def test_content_survives_the_conversion_of_the_table() -> None:
    there = disk(partition(1, 1, 100, "7"), partition(2, 101, 200, "83"), table="msdos")
    made = plan([{"ttp": "GPT"}, *rows((1, "NTFS", 100), (2, "LINUX", 200))], there)

    assert (made.table, fates(made)) == ("gpt", {1: "kept", 2: "kept"})
    assert [part.code for part in made.partitions] == ["0700", "8300"]


def test_a_chain_that_changes_begins_in_another_sector_and_keeps_what_it_can() -> None:
    made = plan(rows((1, "NTFS", 99), (2, "EXTENDED", 600), (5, "LINUX", 99), (6, "LINUX", 200)), LOGICAL)
    extended = made.partitions[1]

    assert fates(made) == {1: "kept", 2: "moved", 5: "kept", 6: "moved"}
    assert extended.start == 100 * MIB + 4 * KIB
    assert extended.start + extended.size == 700 * MIB


@pytest.mark.parametrize(
    ("cfg", "there", "error", "words"),
    [
        (rows((1, "LINUX", 600), (2, "LINUX", 600)), disk(), TableDoesNotFit, "partition 2 needs 600.0 MiB"),
        (rows((1, "LINUX", 100), (1, "LINUX", 100)), disk(), TableDoesNotFit, "2 partitions with number 1"),
        (rows((1, "LINUX", 100), (129, "LINUX", 100)), disk(), TableDoesNotFit, "partition 129"),
        ("ttp=MSDOS!par=5*cpt=LINUX", disk(), TableDoesNotFit, "more than 4 primary"),
        (
            [{"che": "1", "tch": "1024"}, *rows(*((n, "LINUX", 10) for n in (1, 2, 3, 4)))],
            *(disk(table="msdos"), TableDoesNotFit, "more than 4 primary"),
        ),
        (rows((1, "EXTENDED", 100), (2, "EXTENDED", 100)), disk(table="msdos"), TableDoesNotFit, "only one extended"),
        (rows((1, "EXTENDED", 100), (6, "LINUX", 10)), disk(table="msdos"), TableDoesNotFit, "without a gap"),
        (rows((1, "EXTENDED", 100)), disk(), TableDoesNotFit, "no extended partition"),
        (rows((1, "BIOS-BOOT", 1)), disk(table="msdos"), TableDoesNotFit, "no partition BIOS-BOOT"),
        (rows((1, "LINUX", 3 << 20)), disk(table="msdos", size=4 * TIB), TableDoesNotFit, "MSDOS table reaches no"),
        (rows((1, "LINUX", 1), ope="1"), disk(), TableDoesNotFit, "EXT4 needs 4.0 MiB"),
        ("dis=1!par=1*cpt=LINUX%par=2*cpt=LINUX", disk(), InvalidField, "only the last"),
        ("dis=1!par=1*cpt=LINUX-LVM*ope=1", disk(), MissingField, "sfi"),
        ("dis=1!par=1*cpt=LINUX*sfi=ZFS*ope=1", disk(), FilesystemNotSupported, "ZFS"),
        ("dis=1*che=1!", disk(), MissingField, "size of the CACHE"),
        ("dis=1*che=1*tch=2097152!", disk(), TableDoesNotFit, "the CACHE needs 2.0 GiB"),
        ("dis=1*che=1*tch=204800!par=1*cpt=LINUX*tam=900000", disk(), TableDoesNotFit, "partition 1"),
        ("dis=1!par=1*cpt=LINUX", disk(table=None, problem="it cannot be read: EIO"), DiskNotPartitioned, "EIO"),
    ],
)
def test_refusals(cfg: object, there: Disk, error: type[Refusal], words: str) -> None:
    with pytest.raises(error, match=words):
        plan(cfg, there)


@pytest.mark.parametrize("holder", ["/mnt", "[SWAP]", "[dm-0]", "[md0]", "[loop0]"])
def test_what_is_in_use_is_neither_deleted_nor_moved_nor_formatted(holder: str) -> None:
    there = disk(partition(1, 1, 100), partition(2, 101, 100, mounted=holder))
    for cfg in (
        rows((1, "LINUX", 100)),
        rows((1, "LINUX", 150), (2, "LINUX", 100)),
        rows((2, "LINUX", 100), ope="1"),
        rows((2, "NTFS", 100)),
        rows((2, "LINUX", 90)),
    ):
        with pytest.raises(PartitionInUse) as refused:
            plan(cfg, there)
        assert holder in refused.value.message
    assert fates(plan(rows((1, "LINUX", 50), (2, "LINUX", 100)), there)) == {1: "moved", 2: "kept"}


def test_what_cannot_be_trusted_is_not_kept_and_may_be_made_anew() -> None:
    doubtful = disk(partition(1, 1, 100, problem="it shares bytes with partition 2"))
    with pytest.raises(PartitionOverlaps, match="shares bytes"):
        plan(rows((1, "LINUX", 100)), doubtful)
    assert fates(plan(rows((1, "LINUX", 100), ope="1"), doubtful)) == {1: "emptied"}

    member = disk(partition(1, 1, 100), problem="it is a member of a RAID (isw_raid_member)")
    with pytest.raises(PartitionOverlaps, match="member of a RAID"):
        plan(rows((1, "LINUX", 100)), member)
    older = disk(partition(1, 1, 100, problem=OLDER_TABLE))
    assert fates(plan(rows((1, "LINUX", 100)), older)) == {1: "kept"}


# --- any plan -----------------------------------------------------------------------------------------------------

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
