"""Plans: what is kept, what is new, where it lies, and what is refused."""

from __future__ import annotations

from typing import Any, Final

import pytest
from msgspec.structs import replace

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
from ogagent.model.disk import OLDER_TABLE, Disk
from ogagent.model.units import KIB, MIB
from ogagent.partition.layout import plan_table
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


GIB: Final = 1 << 10
WINDOWS: Final = disk(
    partition(1, 1, 100, "EF00", filesystem="vfat"),
    partition(2, 101, 16, "0C01", filesystem=""),
    partition(3, 117, 60 * GIB, "0700", filesystem="ntfs"),
    partition(4, 119 * GIB, 700, "2700", filesystem="ntfs"),
    size=120 * TIB // 1024,
)
SECOND_MISSING: Final = disk(
    partition(1, 1, 100, "EF00", filesystem="vfat"),
    partition(3, 101, 60 * GIB, "0700", filesystem="ntfs"),
    size=220 * TIB // 1024,
)


@pytest.mark.parametrize(
    ("there", "wanted", "start"),
    [
        (WINDOWS, [*own_rows(WINDOWS), *rows((5, "LINUX", 20 * GIB))], 117 + 60 * GIB),
        (SECOND_MISSING, [*own_rows(SECOND_MISSING), *rows((2, "LINUX", 20 * GIB))], 101 + 60 * GIB),
        (SECOND_MISSING, [*own_rows(SECOND_MISSING), *rows((2, "EMPTY", 20 * GIB), (4, "LINUX", 9))], 101 + 80 * GIB),
        (replace(CACHED, size=2048 * MIB), [*own_rows(CACHED), *rows((5, "LINUX", 90))], 701),
        (LOGICAL, [*own_rows(LOGICAL), *rows((3, "LINUX", 200))], 700),
        (LOGICAL, [*own_rows(LOGICAL), *rows((7, "LINUX", 300))], 301),
    ],
    ids=["a hole", "behind", "what stays free", "before the CACHE", "behind the extended one", "logical"],
)
def test_a_new_partition_finds_room_that_leaves_all_others_where_they_are(
    there: Disk, wanted: list[dict[str, str]], start: int
) -> None:
    made = plan(wanted, there)

    assert [part.start // MIB for part in made.partitions if part.fate == "new"] == [start]
    assert not made.lost


def test_a_partition_that_gets_the_number_of_the_cache_is_a_new_one() -> None:
    there = disk(partition(1, 1, 100), partition(4, 801, 200, label="CACHE"), partition(5, 101, 100, "2700"))
    made = plan(rows((1, "LINUX", 100), (4, "LINUX", 50), (5, "WIN-RECOVERY", 100), (6, "CACHE", 200)), there)

    assert {part.number: part.start // MIB for part in made.partitions} == {1: 1, 4: 201, 5: 101, 6: 801}
    assert not made.lost


def test_a_new_partition_for_which_there_is_no_such_room_takes_the_place_of_those_after_it() -> None:
    split = disk(partition(1, 1, 100), partition(3, 401, 300))
    made = plan(rows((1, "LINUX", 100), (2, "LINUX", 400), (3, "LINUX", 300)), split)
    assert {part.number: (part.fate, part.start // MIB) for part in made.partitions} == {
        1: ("kept", 1),
        2: ("new", 101),
        3: ("moved", 501),
    }
    grows = disk(partition(1, 1, 100), partition(3, 101, 300), partition(4, 401, 300))
    made = plan(rows((1, "LINUX", 100), (2, "LINUX", 300), (3, "LINUX", 310), (4, "LINUX", 300)), grows)
    assert fates(made) == {1: "kept", 2: "new", 3: "moved", 4: "moved"}


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


def test_a_cache_is_kept_with_another_number_unless_a_row_means_the_partition_that_it_is() -> None:
    before = rows((1, "EFI", 100), (2, "LINUX", 300), (3, "NTFS", 300))
    made = plan([*before, *rows((4, "LINUX", 200), (5, "CACHE", 200))], replace(CACHED, size=2048 * MIB))
    assert fates(made) == {1: "kept", 2: "kept", 3: "kept", 4: "moved", 5: "kept"}

    meant = disk(partition(1, 101, 100, "83", label="CACHE"), table="msdos")
    made = plan(rows((1, "LINUX", 100), (4, "CACHE", 100)), meant)
    assert {part.number: (part.fate, part.start) for part in made.partitions} == {
        1: ("kept", 101 * MIB),
        4: ("new", 923 * MIB),
    }


LOGICAL_CACHE: Final = disk(
    partition(1, 1, 99, "7", filesystem="ntfs"),
    partition(2, 100, 600, "f", filesystem=""),
    partition(5, 101, 99, "83"),
    partition(6, 201, 99, "ca", label="CACHE"),
    table="msdos",
)


@pytest.mark.parametrize(
    ("head", "more", "found"),
    [
        ([], [], {5: 301, 6: 201}),
        ([{"che": "1", "tch": str(99 * KIB)}], [], {5: 301, 6: 201}),
        ([], rows((6, "CACHE", 99)), {5: 301, 6: 201}),
        ([], rows((6, "LINUX", 20), (7, "CACHE", 99)), {5: 301, 6: 452, 7: 201}),
    ],
    ids=["nothing said", "che and tch", "a row", "another number"],
)
def test_a_logical_cache_is_kept_too_and_another_one_gives_way(
    head: list[dict[str, str]], more: list[dict[str, str]], found: dict[int, int]
) -> None:
    made = plan([*head, *rows((1, "NTFS", 99), (2, "EXTENDED", 600), (5, "LINUX", 150)), *more], LOGICAL_CACHE)
    (cache,) = (part for part in made.partitions if part.code == "ca")

    assert (cache.fate, cache.filesystem) == ("kept", "")
    assert {part.number: part.start // MIB for part in made.partitions if part.number > 4} == found


def test_a_logical_cache_that_cannot_stay_is_made_anew_with_a_file_system_where_its_size_is_said() -> None:
    around = rows((1, "NTFS", 99), (2, "EXTENDED", 150))
    cache = plan([{"che": "1", "tch": str(40 * KIB)}, *around, *rows((5, "LINUX", 99))], LOGICAL_CACHE).partitions[-1]

    assert (cache.number, cache.start, cache.size) == (6, 210 * MIB, 40 * MIB)
    assert (cache.fate, cache.filesystem, cache.label) == ("moved", "EXT4", "CACHE")
    with pytest.raises(TableDoesNotFit, match="CACHE cannot stay"):
        plan([*around, *rows((5, "LINUX", 99))], LOGICAL_CACHE)
    with pytest.raises(TableDoesNotFit, match="CACHE needs"):
        plan([*around, *rows((5, "CACHE", 150))], LOGICAL_CACHE)


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
