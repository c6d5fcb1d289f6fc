"""What the kernel says about mounts and swaps, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.disk.occupancy import (
    Mount,
    block_device_number,
    parse_mountinfo,
    parse_swaps,
    read_holder,
    read_occupants,
)

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
61 27 8:2 / /opt/opengnsys/cache rw,relatime shared:31 master:2 propagate_from:2 - ext4 /dev/sda2 rw
62 27 8:2 /srv/www /var/www rw,relatime - ext4 /dev/sda2 rw
63 27 0:44 /@home /home rw - btrfs /dev/sdb3 rw,subvol=/@home
64 27 8:17 / /media/Mis\040imágenes\134x rw,nosuid - fuseblk /dev/sdb1 rw,user_id=0
65 27 0:50 / /mnt/a\011b rw - tmpfs tmpfs rw
"""

SWAPS = r"""Filename				Type		Size		Used		Priority
/dev/sda3                               partition	8388604		0		-2
/swap\040file                           file		1048572		0		-3
"""


def test_mountinfo() -> None:
    mounts = {mount.mount_point: mount for mount in parse_mountinfo(MOUNTINFO)}
    assert mounts["/"] == Mount("254:0", "/", "/", "/dev/vda")
    assert mounts["/opt/opengnsys/cache"] == Mount("8:2", "/", "/opt/opengnsys/cache", "/dev/sda2")
    assert mounts["/var/www"].root == "/srv/www"
    assert mounts["/home"].source == "/dev/sdb3"
    assert mounts["/mnt/a\tb"].source == "tmpfs"
    assert len(mounts) == 7


@pytest.mark.parametrize("odd", ["\x0c", "\x0b", "\x1c", "\x85", "\u2028", "\udcff"])
def test_what_ends_a_line_for_others_ends_none_here(odd: str) -> None:
    """The kernel escapes blank, tab, newline and backslash, and nothing else."""
    mounts = parse_mountinfo(
        f"61 27 8:2 / /media/a{odd}b rw - ext4 /dev/sda2 rw\n62 27 8:3 / /b rw - ext4 /dev/sda3 rw\n"
    )
    assert [(mount.device, mount.mount_point) for mount in mounts] == [("8:2", f"/media/a{odd}b"), ("8:3", "/b")]
    assert parse_swaps(f"Filename\n/a{odd}b file 1 0 -2\n/dev/sda3 partition 1 0 -2\n") == [f"/a{odd}b", "/dev/sda3"]


def test_mount_points_are_unescaped() -> None:
    assert "/media/Mis imágenes\\x" in {mount.mount_point for mount in parse_mountinfo(MOUNTINFO)}


def test_swaps() -> None:
    assert parse_swaps(SWAPS) == ["/dev/sda3", "/swap file"]
    assert parse_swaps("Filename\tType\tSize\tUsed\tPriority\n") == []
    assert parse_swaps("") == []


@given(st.text(max_size=200))
def test_parsers_take_anything(text: str) -> None:
    parse_mountinfo(text)
    parse_swaps(text)


def test_this_machine_can_be_asked() -> None:
    assert all(number > 0 and holder for number, holder in read_occupants().items())


@pytest.mark.parametrize("path", ["/dev/null", "/etc", "/no/such", "", "a\0b"])
def test_no_block_device_has_no_number(path: str) -> None:
    assert block_device_number(path) is None


def test_holder_is_the_volume_that_is_built_on_a_partition(tmp_path: Path) -> None:
    assert read_holder(tmp_path) is None
    holders = tmp_path / "holders"
    holders.mkdir()
    assert read_holder(tmp_path) is None
    (holders / "md0").mkdir()
    (holders / "dm-3").mkdir()
    assert read_holder(tmp_path) == "[dm-3]"
