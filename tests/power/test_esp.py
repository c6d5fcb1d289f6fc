"""EFI system partitions as installers leave them: whose loader is whose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ogagent.errors import NoSystem
from ogagent.model.plan import Target
from ogagent.power.esp import Found, Loader, choose, loaders_in
from ogagent.power.power import BootPlace
from ogagent.power.systems import System
from ogagent.system.tree import Tree

OURS = "7b0c1f3e-5d2a-4f19-9f0e-3c1d2b4a5e6f"
OTHERS = "0d9c8b7a-1111-4222-8333-444455556666"
GRUB = "search.fs_uuid {} root hd0,gpt2 \nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
FEDORA = "search --no-floppy --root-dev-only --fs-uuid --set=dev {}\nset prefix=($dev)/boot/grub2\nexport $prefix\n"
MICROSOFT = ("EFI/Microsoft/Boot/bootmgfw.efi", "EFI/Boot/bootx64.efi")
LINUX, WITH_MENU, WINDOWS = System(windows=False), System(windows=False, menu=True), System(windows=True)


def target(partition: int, disk: int = 1) -> Target:
    return Target(
        disk=disk, partition=partition, device=f"/dev/sd{disk}{partition}", disk_device=f"/dev/sd{disk}",
        identity=f"disk {disk}", start=partition << 20, size=1 << 20, sector_size=512,
    )  # fmt: skip


PLACE = BootPlace(partition=target(2), filesystem="ext4", table="gpt")


def vendor(name: str, stub: str = "", *programs: str) -> dict[str, str]:
    files = {f"EFI/{name}/{each}": "MZ" for each in programs or ("shimx64.efi", "grubx64.efi")}
    return files | ({f"EFI/{name}/grub.cfg": stub} if stub else {})


def loaders(folder: Path, files: dict[str, str], suffix: str = "x64") -> tuple[Loader, ...]:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return loaders_in(Tree(root), suffix)
    finally:
        os.close(root)


def chosen(folder: Path, files: dict[str, str], system: System = LINUX, uuid: str = OURS) -> str:
    found: list[Found] = [(target(1), each) for each in loaders(folder, files)]
    return choose(found, PLACE, system, uuid)[1].path


DUAL = {**dict.fromkeys(MICROSOFT, "MZ"), **vendor("ubuntu", GRUB.format(OURS)), "EFI/ubuntu/mmx64.efi": "MZ"}


def test_both_systems_of_one_partition(tmp_path: Path) -> None:
    assert chosen(tmp_path, DUAL) == "\\EFI\\ubuntu\\shimx64.efi"
    assert chosen(tmp_path, DUAL, WINDOWS) == "\\EFI\\Microsoft\\Boot\\bootmgfw.efi"


def test_the_stub_tells_two_linux_apart(tmp_path: Path) -> None:
    files = vendor("debian", GRUB.format(OTHERS)) | vendor("fedora", FEDORA.format(OURS.upper()))
    assert chosen(tmp_path, files) == "\\EFI\\fedora\\shimx64.efi"
    assert chosen(tmp_path, files, uuid=OTHERS) == "\\EFI\\debian\\shimx64.efi"


def test_one_whose_boot_directory_is_elsewhere_has_the_only_one(tmp_path: Path) -> None:
    assert chosen(tmp_path, vendor("debian", GRUB.format(OTHERS))) == "\\EFI\\debian\\shimx64.efi"


def test_another_ones_loader_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(NoSystem, match=r"no EFI system partition .* partition 2 of disk 1"):
        chosen(tmp_path, vendor("debian", GRUB.format(OTHERS)), WITH_MENU)


def test_which_of_two_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(NoSystem, match=r"debian.*ubuntu"):
        chosen(tmp_path, vendor("debian") | vendor("ubuntu"))


def test_a_loader_without_a_stub_may_be_for_any(tmp_path: Path) -> None:
    files = vendor("systemd", "", "systemd-bootx64.efi") | vendor("debian", GRUB.format(OTHERS))
    assert chosen(tmp_path, files, WITH_MENU) == "\\EFI\\systemd\\systemd-bootx64.efi"


def test_the_fallback_is_the_last_resort(tmp_path: Path) -> None:
    assert chosen(tmp_path, {"EFI/BOOT/BOOTX64.EFI": "MZ"}) == "\\EFI\\BOOT\\BOOTX64.EFI"


@pytest.mark.parametrize("files", [{}, dict.fromkeys(MICROSOFT, "MZ"), vendor("debian", "", "shimia32.efi")])
def test_nothing_for_a_linux(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(NoSystem):
        chosen(tmp_path, files)


def test_windows_starts_from_its_own_disk(tmp_path: Path) -> None:
    found: list[Found] = [(target(1, disk=2), each) for each in loaders(tmp_path, DUAL)]
    with pytest.raises(NoSystem):
        choose(found, PLACE, WINDOWS, "")
    assert choose(found, PLACE, LINUX, OURS)[1].label == "ubuntu"


def test_its_own_disk_comes_first(tmp_path: Path) -> None:
    (loader,) = loaders(tmp_path, vendor("debian"))
    (other,) = loaders(tmp_path / "other", vendor("ubuntu"))
    assert choose([(target(1), loader), (target(1, disk=2), other)], PLACE, LINUX, OURS) == (target(1), loader)


def test_firmware_of_other_processors_has_other_programs(tmp_path: Path) -> None:
    files = vendor("debian", "", "shimaa64.efi", "grubx64.efi")
    assert [each.path for each in loaders(tmp_path, files, "aa64")] == ["\\EFI\\debian\\shimaa64.efi"]


def test_names_that_no_firmware_has_are_left_out(tmp_path: Path) -> None:
    assert loaders(tmp_path, vendor("--delete-bootorder") | vendor("a\nb") | vendor("ñ")) == ()


@pytest.mark.parametrize("line", ["search " * 20_000, "\n" * 60_000, "search --fs-uuid" + " abcd" * 12_000])
def test_a_long_stub_is_read(tmp_path: Path, line: str) -> None:
    assert len(loaders(tmp_path, vendor("debian", line[:65_000]))) == 1
