"""An ogLive is told from an installed system by what OpenGnsys leaves in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.system.oglive import is_oglive, lies_on_a_disk

NONE = Path("/nonexistent/oginit")
REAL = (
    "BOOT_IMAGE=ogLive/ogvmlinuz ro boot=oginit quiet splash vga=788 irqpoll acpi=on og2nd=sqfs ogprotocol=smb "
    "ogactiveadmin=false ogdebug=false ogtmpfs=15 oglivedir=ogLive"
)
INSTALLED = "BOOT_IMAGE=/boot/vmlinuz-6.8.0-45-generic root=UUID=4a3f8a52-0c5e ro quiet splash vt.handoff=7"


@pytest.mark.parametrize("line", [REAL, "boot=oglive", "oglivedir=ogLive-5.15", "quiet ogactiveadmin=true"])
def test_the_kernel_command_line_of_an_oglive(line: str) -> None:
    assert is_oglive(line, NONE)


@pytest.mark.parametrize(
    "line",
    ["", INSTALLED, "boot=live", "boot=oginit2", "x=oglivedir", f"{INSTALLED} ogagent.ogcore=https://192.168.2.1"],
)
def test_that_of_another_system(line: str) -> None:
    assert not is_oglive(line, NONE)


def test_its_first_program(tmp_path: Path) -> None:
    (tmp_path / "oginit").touch()
    assert is_oglive(INSTALLED, tmp_path / "oginit")


DISK = "29 1 {} / / rw,relatime shared:1 - {} {} rw"


@pytest.mark.parametrize(
    ("number", "kind", "source", "found"),
    [
        ("8:2", "ext4", "/dev/nonexistent", True),
        ("0:27", "btrfs", "/dev/null", False),
        ("253:0", "xfs", "none", True),
        ("254:0", "ext4", "none", False),
        ("0:31", "overlay", "overlay", False),
        ("0:5", "tmpfs", "tmpfs", False),
        ("0:40", "nfs4", "192.168.2.1:/oglive", False),
    ],
)
def test_a_system_on_a_disk(tmp_path: Path, number: str, kind: str, source: str, found: bool) -> None:
    """8:2 is a partition, 253:0 a volume, 254:0 a disk as a whole, as many a virtual machine has it."""
    sysfs, mounts = tmp_path / "sysfs", tmp_path / "mountinfo"
    (sysfs / "8:2").mkdir(parents=True)
    (sysfs / "8:2/partition").write_text("2")
    (sysfs / "253:0/dm").mkdir(parents=True)
    (sysfs / "254:0").mkdir()
    other = "31 29 0:26 / /proc rw - proc proc rw"
    mounts.write_text(f"{DISK.format(number, kind, source)}\n{other}\n")
    assert lies_on_a_disk(mounts, sysfs) is found


def test_what_was_mounted_over_it_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"{DISK.format('8:2', 'ext4', 'none')}\n{DISK.format('0:31', 'overlay', 'overlay')}\n")
    (tmp_path / "8:2").mkdir()
    (tmp_path / "8:2/partition").write_text("2")
    assert not lies_on_a_disk(mounts, tmp_path)
