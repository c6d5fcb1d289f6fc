"""What people are shown before a disk changes."""

from __future__ import annotations

from ogagent.partition.layout import plan_table
from ogagent.partition.table import plan_as_text
from tests.partition.disks import asked, disk, partition, rows

THERE = disk(
    partition(1, 1, 100, "EF00", filesystem="vfat"),
    partition(2, 101, 300),
    partition(3, 401, 100, "0700", filesystem="ntfs"),
    partition(4, 801, 200, label="CACHE"),
)


PRINTED = """\
disk 1 (/dev/sda), 1.0 GiB: GPT
number  start       size       type  what becomes of it
1       1.0 MiB     100.0 MiB  EF00  kept with its content
2       101.0 MiB   300.0 MiB  8300  stays in its place, its content goes; EXT4 is made
        401.0 MiB   400.0 MiB        free
4       801.0 MiB   200.0 MiB  CA00  kept with its content
        1001.0 MiB  23.0 MiB         free
3       401.0 MiB   100.0 MiB  0700  removed (ntfs)"""


def test_a_plan_for_people() -> None:
    format_second = {**rows((2, "LINUX", 300))[0], "ope": "1"}
    plan = plan_table(asked([*rows((1, "EFI", 100)), format_second]), THERE, "uefi")

    assert plan_as_text(plan) == PRINTED


def test_another_kind_of_table_and_what_is_made_on_it() -> None:
    cfg = [{"ttp": "MSDOS", "che": "1", "tch": "102400"}, *rows((1, "NTFS", 300))]
    text = plan_as_text(plan_table(asked(cfg), THERE, "uefi"))

    assert "GPT becomes MSDOS" in text
    assert "made anew elsewhere or of another size, its content goes; EXT4 is made, label CACHE" in text
    assert "removed (ntfs)" in text
