"""Codes, and the order of the rules that make a partition the CACHE."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from ogagent.disk.codes import mark_cache, no_place_for_an_image, partition_code
from ogagent.disk.layout import is_extended
from ogagent.model.disk import Disk, Partition, TableKind

LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


def part(number: int, code: str = "8300", *, label: str = "", name: str = "", **members: Any) -> Partition:
    place = {"start": number << 20, "size": 1 << 20} | members
    return Partition(partition=number, device=f"/dev/sda{number}", code=code, label=label, name=name, **place)


def disk(number: int, table: TableKind, *parts: Partition) -> Disk:
    return Disk(
        disk=number,
        device="/dev/sda",
        identity="",
        model="",
        size=1 << 30,
        sector_size=512,
        table=table,
        partitions=parts,
    )


def caches(*disks: Disk) -> list[tuple[int, int, str]]:
    return [(each.disk, p.partition, p.code) for each in mark_cache(disks) for p in each.partitions if p.cache]


@pytest.mark.parametrize(("found", "code"), [("83", "83"), ("CA", "ca"), ("f", "f"), ("ee", "ee")])
def test_msdos_code_is_the_type(found: str, code: str) -> None:
    assert partition_code("msdos", found) == code


@pytest.mark.parametrize(
    ("guid", "code"),
    [
        (LINUX, "8300"),
        (LINUX.lower(), "8300"),
        ("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "8300"),
        ("933AC7E1-2EB4-4F13-B844-0E14E2AEF915", "8300"),
        ("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "8200"),
        ("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "0700"),
        ("E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "0C01"),
        ("DE94BBA4-06D1-4D40-A16A-BFD50179D6AC", "2700"),
        ("E6D6D379-F507-44C2-A23C-238F2A3DF928", "8E00"),
        ("A19D880F-05FC-4D3B-A006-743F0F84911E", "FD00"),
        ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EF00"),
        ("21686148-6449-6E6F-744E-656564454649", "EF02"),
        ("48465300-0000-11AA-AA11-00306543ECAC", "AF00"),
        ("516E7CB4-6ECF-11D6-8FF8-00022D09712B", "A500"),
        ("AF9B60A0-1431-4F62-BC68-3311714A69AD", "4200"),
        ("5808C8AA-7E8F-42E0-85D2-E1E90434CFB3", "4201"),
        ("9E1A2D38-C612-4316-AA26-8B49521E5A8B", "4100"),
        ("00000000-0000-0000-0000-000000000001", "0000"),
        ("83", "0000"),
    ],
)
def test_gpt_code(guid: str, code: str) -> None:
    assert partition_code("gpt", guid) == code


def test_extended_is_a_matter_of_msdos() -> None:
    assert all(is_extended("msdos", code) for code in ("5", "f", "85"))
    assert not is_extended("msdos", "83")
    assert not is_extended("gpt", "5")


def test_no_cache_is_no_cache() -> None:
    before = disk(1, "gpt", part(1), part(2, label="cache", name="CACHE2"))
    assert mark_cache([before]) == (before,)
    assert mark_cache([]) == ()


def test_file_system_label_comes_first() -> None:
    by_type = disk(1, "msdos", part(1, "ca"))
    by_name = disk(2, "gpt", part(1, name="CACHE"), part(4, "0700", label="CACHE"))
    assert caches(by_type, by_name) == [(2, 4, "0700")]


def test_gpt_name_comes_second() -> None:
    assert caches(disk(1, "msdos", part(1, "ca")), disk(2, "gpt", part(3, name="CACHE"))) == [(2, 3, "CA00")]


def test_msdos_type_comes_last() -> None:
    assert caches(disk(1, "msdos", part(1, "83"), part(4, "ca"))) == [(1, 4, "ca")]


def test_a_disk_with_a_problem_has_no_cache_that_is_used() -> None:
    half = structs.replace(disk(1, "gpt", part(3, label="CACHE")), problem="it is a member of a RAID")
    assert caches(half) == []
    assert caches(half, disk(2, "msdos", part(1, "ca"))) == [(2, 1, "ca")]


def test_several_by_the_same_rule_are_one() -> None:
    first, second = disk(1, "gpt", part(2), part(3, label="CACHE")), disk(2, "gpt", part(1, label="CACHE"))
    assert caches(first, second) == [(1, 3, "CA00")]
    assert caches(disk(1, "gpt", part(3, label="CACHE"), part(4, label="CACHE"))) == [(1, 3, "CA00")]


def test_code_ca00_is_for_linux_on_gpt_only() -> None:
    assert caches(disk(1, "gpt", part(3, "8300", label="CACHE"))) == [(1, 3, "CA00")]
    assert caches(disk(1, "gpt", part(3, "0700", name="CACHE"))) == [(1, 3, "0700")]
    assert caches(disk(1, "msdos", part(3, "83", label="CACHE"))) == [(1, 3, "83")]


def test_a_name_means_nothing_on_msdos_and_a_type_nothing_on_gpt() -> None:
    assert caches(disk(1, "msdos", part(1, "83", name="CACHE")), disk(2, "gpt", part(1, "ca"))) == []


# --- no place for an image ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guid", "what"),
    [
        ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "an EFI system partition"),
        ("21686148-6449-6E6F-744E-656564454649", "a BIOS boot partition"),
        ("E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "a Microsoft reserved partition"),
        ("AF9B60A0-1431-4F62-BC68-3311714A69AD", "part of a dynamic disk of Windows"),
        ("5808C8AA-7E8F-42E0-85D2-E1E90434CFB3", "part of a dynamic disk of Windows"),
        ("E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D", "part of a storage pool of Windows"),
        ("D3BFE2DE-3DAF-11DF-BA40-E3A556D89593", "a hibernation partition"),
        ("9E1A2D38-C612-4316-AA26-8B49521E5A8B", "a PReP boot partition"),
        ("426F6F74-0000-11AA-AA11-00306543ECAC", "an Apple boot partition"),
        ("53746F72-6167-11AA-AA11-00306543ECAC", "part of an Apple volume of several disks"),
        ("024DEE41-33E7-11D3-9D69-0008C781F39F", "what protects another partition table"),
        ("F4019732-066E-4E12-8273-346C5641494F", "a partition of the PC's maker"),
    ],
)
def test_gpt_types_that_are_no_place_for_an_image(guid: str, what: str) -> None:
    assert no_place_for_an_image(partition_code("gpt", guid.lower())) == what


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ("5", "an extended partition"),
        ("F", "an extended partition"),
        ("1f", "a hidden extended partition"),
        ("42", "part of a dynamic disk of Windows"),
        ("ee", "what protects another partition table"),
        ("ef", "an EFI system partition"),
        ("41", "a PReP boot partition"),
        ("84", "a hibernation partition"),
        ("a", "a boot manager's partition"),
    ],
)
def test_msdos_types_that_are_no_place_for_an_image(found: str, what: str) -> None:
    assert no_place_for_an_image(partition_code("msdos", found)) == what


@pytest.mark.parametrize(
    "code", ["8300", "0700", "2700", "8200", "AF00", "A500", "CA00", "0000", "83", "7", "c", "27", "82", "a5", "ca", ""]
)
def test_what_holds_a_system_or_data_is_a_place_for_an_image(code: str) -> None:
    assert no_place_for_an_image(code) == ""


# --- what shares bytes with the CACHE -----------------------------------------------------------------------------


def told(*disks: Disk) -> dict[tuple[int, int], str]:
    return {(each.disk, p.partition): p.problem for each in mark_cache(disks) for p in each.partitions if p.problem}


def test_what_shares_bytes_with_the_cache_says_so_whatever_else_is_wrong() -> None:
    cache = part(4, name="CACHE", start=40 << 20, size=10 << 20, problem="it shares bytes with partition 2")
    into = part(2, start=45 << 20, size=99 << 20, problem="it reaches beyond the end of the disk")
    by_a_byte = part(3, start=1, size=40 << 20, problem="it shares bytes with partition 1")
    assert told(disk(1, "gpt", part(1, start=30 << 20, size=10 << 20), into, by_a_byte, cache)) == {
        (1, 2): "it shares bytes with partition 4, the CACHE",
        (1, 3): "it shares bytes with partition 4, the CACHE",
        (1, 4): "it shares bytes with partition 2",
    }


def test_the_same_place_on_another_disk_is_another_place() -> None:
    assert told(disk(1, "gpt", part(4, name="CACHE")), disk(2, "gpt", part(4))) == {}


def test_the_extended_partition_around_the_cache_shares_its_bytes_with_it() -> None:
    extended = part(2, "5", start=1 << 20, size=99 << 20)
    assert told(disk(1, "msdos", extended, part(5, "ca", start=10 << 20))) == {}
