"""Which devices count as disks, and what sysfs says of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ogagent.disk.excluded import Excluded, Exclusions
from ogagent.disk.kernel import describe_disk, find_disks, is_disk, known_disk
from ogagent.model.disk import UNREADABLE


def device(root: Path, name: str, **files: str) -> Path:
    directory = root / name
    directory.mkdir(parents=True)
    for file, content in files.items():
        path = directory / file.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return directory


@pytest.mark.parametrize("name", ["sda", "vda", "xvda", "nvme0n1", "mmcblk0", "hda", "cciss!c0d0", "pmem0"])
def test_disk(tmp_path: Path, name: str) -> None:
    assert is_disk(device(tmp_path, name, removable="0", ro="0", hidden="0"))


@pytest.mark.parametrize(
    "name",
    ["loop0", "ram0", "zram0", "sr0", "fd0", "dm-0", "md0", "md127", "nbd0", "mtdblock0", "drbd0", "zd16", "bcache0"],
)
def test_no_disk(tmp_path: Path, name: str) -> None:
    assert not is_disk(device(tmp_path, name, removable="0", ro="0"))


@pytest.mark.parametrize("flag", ["removable", "ro", "hidden"])
def test_disk_that_does_not_count(tmp_path: Path, flag: str) -> None:
    flags = {"removable": "0", "ro": "0", "hidden": "0", flag: "1"}
    assert not is_disk(device(tmp_path, "sdb", **flags))


def test_what_hangs_on_usb_is_no_disk_of_this_machine(tmp_path: Path) -> None:
    """It says that it is not removable, and its number comes before that of any NVMe disk."""
    assert not is_disk(device(tmp_path / "pci0000:00/usb2/2-1/2-1:1.0/host6/block", "sdb", removable="0", ro="0"))
    assert is_disk(device(tmp_path / "pci0000:00/ata1/host0/block", "sda", removable="0", ro="0"))


@pytest.mark.parametrize(("kind", "counts"), [("SD", False), ("MMC", True)])
def test_a_card_in_a_reader_is_no_disk_and_memory_on_the_mainboard_is_one(
    tmp_path: Path, kind: str, counts: bool
) -> None:
    assert is_disk(device(tmp_path, "mmcblk0", removable="0", ro="0", device__type=kind)) is counts


def test_what_sysfs_says(tmp_path: Path) -> None:
    sysfs = device(
        tmp_path,
        "nvme0n1",
        dev="259:0",
        size="2097152",
        queue__logical_block_size="4096",
        device__model="Samsung SSD 980 PRO 500GB              ",
        wwid="eui.002538b1",
        nvme0n1p10__partition="10",
        nvme0n1p10__dev="259:9",
        nvme0n1p10__start="1024",
        nvme0n1p10__size="2048",
        nvme0n1p2__partition="2",
        nvme0n1p2__dev="259:1",
        nvme0n1p2__start="8",
        nvme0n1p2__size="16",
    )
    (sysfs / "nvme0n1p2/holders/dm-1").mkdir(parents=True)
    disk = describe_disk(sysfs, {os.makedev(259, 9): "/home"})
    assert disk.device == "/dev/nvme0n1"
    assert disk.identity == "wwn:eui.002538b1;size:1073741824"
    assert disk.model == "Samsung SSD 980 PRO 500GB"
    assert (disk.size, disk.sector_size, disk.holder) == (1 << 30, 4096, None)
    assert list(disk.partitions) == [2, 10]
    second, tenth = disk.partitions.values()
    # 512 bytes a sector, whatever the disk's own are
    assert (second.device, second.start, second.size, second.holder) == ("/dev/nvme0n1p2", 4096, 8192, "[dm-1]")
    assert (tenth.device, tenth.start, tenth.size, tenth.holder) == ("/dev/nvme0n1p10", 524288, 1 << 20, "/home")


def test_disk_that_is_held_as_a_whole(tmp_path: Path) -> None:
    sysfs = device(tmp_path, "sda", dev="8:0", size="8", queue__logical_block_size="512")
    assert describe_disk(sysfs, {os.makedev(8, 0): "/mnt"}).holder == "/mnt"
    assert describe_disk(sysfs, {os.makedev(8, 1): "/mnt"}).holder is None


def test_name_with_a_slash(tmp_path: Path) -> None:
    sysfs = device(tmp_path, "cciss!c0d0", dev="104:0", size="8", queue__logical_block_size="512")
    assert describe_disk(sysfs, {}).device == "/dev/cciss/c0d0"


def test_disks_of_this_machine_are_in_the_order_of_their_numbers() -> None:
    found = find_disks([], Excluded())
    numbers = [Path(disk.device).stat().st_rdev for disk in found.values()]
    assert list(found) == list(range(1, len(found) + 1))
    assert [(os.major(each), os.minor(each)) for each in numbers] == sorted(
        (os.major(each), os.minor(each)) for each in numbers
    )


def test_disk_is_left_out_by_name_and_by_link(tmp_path: Path) -> None:
    disks = find_disks([], Excluded())
    link = tmp_path / "link"
    for number, disk in disks.items():
        link.unlink(missing_ok=True)
        link.symlink_to(disk.device)
        others = {each: other for each, other in disks.items() if each != number}
        assert find_disks([], Exclusions([str(link)]).now()) == others
    assert find_disks([], Exclusions([disk.device for disk in disks.values()]).now()) == {}


def test_disk_that_counts_anyway_is_not_counted_twice() -> None:
    disks = find_disks([], Excluded())
    assert find_disks([disk.device for disk in disks.values()], Excluded()) == disks


def test_what_is_no_disk_is_not_included(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert find_disks([str(tmp_path), "/no/such"], Excluded()) == find_disks([], Excluded())
    assert "/no/such is no disk" in caplog.text


# --- sysfs that does not say what it must -------------------------------------------------------------------------

SDA = {"dev": "8:0", "size": "4096", "queue__logical_block_size": "512"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": ""},
        {"size": "many"},
        {"size": "9" * 5000},
        {"dev": "8"},
        {"dev": "a:b"},
        {"dev": f"{1 << 80}:0"},
        {"queue__logical_block_size": "0"},
        {"queue__logical_block_size": "-512"},
        {"queue__logical_block_size": "half"},
    ],
    ids=str,
)
def test_a_disk_of_which_nothing_is_known_is_still_counted(tmp_path: Path, wrong: dict[str, str]) -> None:
    disk = known_disk(device(tmp_path, "sda", **SDA | wrong), {})
    assert disk is not None
    assert (disk.device, disk.size, disk.partitions) == ("/dev/sda", 0, {})
    assert disk.problem.startswith(UNREADABLE)


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    first, second = (device(tmp_path, name, **SDA) for name in ("sda", "sdb"))
    (first / "size").unlink()
    (second / "size").write_bytes(b"\xff\xfe")
    assert [disk is not None and bool(disk.problem) for disk in (known_disk(first, {}), known_disk(second, {}))] == [
        True,
        True,
    ]


def test_a_disk_that_has_gone_is_none(tmp_path: Path) -> None:
    assert known_disk(tmp_path / "sda", {}) is None


@pytest.mark.parametrize("wrong", ["start", "size", "dev", "partition"])
def test_a_partition_that_cannot_be_described_is_left_out(tmp_path: Path, wrong: str) -> None:
    parts = {
        f"sda{number}__{name}": value
        for number in (1, 2)
        for name, value in {"partition": str(number), "start": "8", "size": "8", "dev": f"8:{number}"}.items()
    }
    sysfs = device(tmp_path, "sda", **SDA | parts)
    (sysfs / "sda1" / wrong).write_bytes(b"\xff")
    disk = known_disk(sysfs, {})
    assert disk is not None
    assert (list(disk.partitions), disk.problem) == ([2], "")


def test_a_model_of_any_bytes(tmp_path: Path) -> None:
    sysfs = device(tmp_path, "sda", **SDA, device__model="x")
    (sysfs / "device/model").write_bytes(b"\x1b[2J\xff\x00" + b"y" * 5000)
    model = describe_disk(sysfs, {}).model
    assert model.isprintable()
    assert len(model) <= 128
