"""Identities from what sysfs holds for each kind of disk. The trees are those of real machines, cut to what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.disk.identity import disk_identity, disk_of_partition

SIZE = 976773168  # sectors of 512 bytes
SIZE_TEXT = "size:500107862016"


def sysfs(root: Path, directory: str, **files: str | bytes) -> Path:
    """A disk's directory under ``root``; a double underscore in a name of a file stands for a slash."""
    disk = root / "sys/devices" / directory
    disk.mkdir(parents=True)
    (disk / "size").write_text(f"{SIZE}\n")
    for name, content in files.items():
        path = disk / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return disk


def page80(serial: str) -> bytes:
    return bytes((0, 0x80, 0, len(serial))) + serial.encode()


SATA = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda"
NVME = "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0/nvme0n1"
USB = "pci0000:00/0000:00:14.0/usb2/2-1/2-1.4/2-1.4:1.0/host4/target4:0:0/4:0:0:0/block/sdb"


def test_sata_disk_has_a_wwn(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, SATA, device__wwid="naa.5000c500a1b2c3d4\n", device__vpd_pg80=page80("ZA123456"))
    assert disk_identity(disk, "/dev/sda") == f"wwn:0x5000c500a1b2c3d4;{SIZE_TEXT}"


def test_virtual_sata_disk_has_a_name_that_blanks_fill(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, SATA, device__wwid="t10.ATA     VBOX HARDDISK          VB4a5d0c1f-6c8f3a21\n")
    assert disk_identity(disk, "/dev/sda") == f"wwn:t10.ATA VBOX HARDDISK VB4a5d0c1f-6c8f3a21;{SIZE_TEXT}"


def test_nvme_disk_has_its_wwn_at_the_namespace(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, NVME, wwid="eui.0025385b71b0c5d6\n")
    (disk.parent / "serial").write_text("S4EVNX0R123456      \n")
    assert disk_identity(disk, "/dev/nvme0n1") == f"wwn:eui.0025385b71b0c5d6;{SIZE_TEXT}"


def test_nvme_disk_without_a_wwn_has_the_serial_of_its_controller(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, NVME, wwid="eui.0000000000000000\n")
    (disk.parent / "serial").write_text("S4EVNX0R123456      \n")
    assert disk_identity(disk, "/dev/nvme0n1") == f"serial:S4EVNX0R123456;{SIZE_TEXT}"


def test_scsi_disk_without_a_wwn_has_a_unit_serial_number(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, SATA, device__vpd_pg80=page80("  QM00013 ") + b"beyond its length")
    assert disk_identity(disk, "/dev/sda") == f"serial:QM00013;{SIZE_TEXT}"


def test_virtio_disk_has_its_serial_at_itself(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, "pci0000:00/0000:00:02.0/virtio1/block/vda", serial="pc1-disk1")
    assert disk_identity(disk, "/dev/vda") == f"serial:pc1-disk1;{SIZE_TEXT}"


def test_usb_disk_has_the_serial_of_its_usb_device(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, USB)
    usb = disk.parents[5]
    assert usb.name == "2-1.4"
    (usb / "idVendor").write_text("0bc2\n")
    (usb / "serial").write_text("NA8Y12AB\n")
    assert disk_identity(disk, "/dev/sdb") == f"serial:NA8Y12AB;{SIZE_TEXT}"


def test_usb_disk_without_a_serial_does_not_take_that_of_the_hub(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, USB)
    usb, hub = disk.parents[5], disk.parents[6]
    (usb / "idVendor").write_text("0bc2\n")
    (hub / "idVendor").write_text("1d6b\n")
    (hub / "serial").write_text("0000:00:14.0\n")
    assert disk_identity(disk, "/dev/sdb") == f"path:/dev/sdb;{SIZE_TEXT}"


def test_loop_device_has_its_path(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, "virtual/block/loop0")
    assert disk_identity(disk, "/dev/loop0") == f"path:/dev/loop0;{SIZE_TEXT}"


@pytest.mark.parametrize("nothing", [b"", b"\n", b"0000000000\n", b"   ", b"00.00-0000"])
def test_serial_that_says_nothing_is_none(tmp_path: Path, nothing: bytes) -> None:
    disk = sysfs(tmp_path, "virtual/block/vdz", serial=nothing, device__wwid=nothing)
    assert disk_identity(disk, "/dev/vdz") == f"path:/dev/vdz;{SIZE_TEXT}"


@pytest.mark.parametrize("page", [b"", b"\0\x80\0", b"\0\x80\0\xff", b"\0\x80\0\x04\xff\xff\0\n"])
def test_broken_serial_page_breaks_nothing(tmp_path: Path, page: bytes) -> None:
    disk = sysfs(tmp_path, SATA, device__vpd_pg80=page)
    assert disk_identity(disk, "/dev/sda").endswith(f";{SIZE_TEXT}")
    assert disk_identity(disk, "/dev/sda").isprintable()


def test_endless_serial_is_cut(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, "virtual/block/vdz", serial="x" * 4000)
    assert len(disk_identity(disk, "/dev/vdz")) < 200


def test_size_is_part_of_the_identity(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, SATA, device__wwid="naa.5000c500a1b2c3d4\n")
    before = disk_identity(disk, "/dev/sda")
    (disk / "size").write_text("1953525168\n")
    assert disk_identity(disk, "/dev/sda") != before


def test_disk_that_has_gone_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk_identity(tmp_path / "sda", "/dev/sda")


def test_device_that_is_no_partition_is_on_no_disk() -> None:
    with pytest.raises(FileNotFoundError):
        disk_of_partition(0)
