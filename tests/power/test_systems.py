"""What is on a partition that could start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ogagent.power.systems import System, look_for_system
from ogagent.system.tree import Tree

MENU = "menuentry 'x' { search --fs-uuid --set=root abcd; linux /boot/vmlinuz root=/dev/sda2; initrd /boot/initrd; }"


def seen(folder: Path, files: dict[str, str], *, windows: bool = False) -> System | None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return look_for_system(Tree(root), windows=windows)
    finally:
        os.close(root)


def linux(below: str = "", menu: str = MENU, kernels: str | None = None) -> dict[str, str]:
    kernels = below if kernels is None else kernels
    files = {"etc/os-release": "ID=x", "boot/grub/grub.cfg": menu}
    return {f"{below}{path}": text for path, text in files.items()} | {
        f"{kernels}boot/{name}": name for name in ("vmlinuz", "initrd")
    }


def test_a_linux(tmp_path: Path) -> None:
    system = seen(tmp_path, linux())
    assert system is not None
    assert (system.windows, system.menu) == (False, True)
    assert system.kernel is not None
    assert (system.kernel.linux, system.kernel.initrd) == ("./boot/vmlinuz", "./boot/initrd")
    assert (system.kernel.command_line, system.kernel.uuid) == ("root=/dev/sda2", "abcd")


@pytest.mark.parametrize(("kernels", "path"), [("@/", "@/boot/vmlinuz"), ("", "./boot/vmlinuz")])
def test_a_subvolume_counts_from_itself_or_from_the_top(tmp_path: Path, kernels: str, path: str) -> None:
    system = seen(tmp_path, linux("@/", kernels=kernels))
    assert system is not None
    assert system.kernel is not None
    assert system.kernel.linux == path


def test_one_whose_boot_directory_is_elsewhere(tmp_path: Path) -> None:
    assert seen(tmp_path, {"etc/os-release": "ID=x"}) == System(windows=False)


def test_a_kernel_that_is_not_there(tmp_path: Path) -> None:
    assert seen(tmp_path, {"etc/os-release": "ID=x", "boot/grub/grub.cfg": MENU}) == System(windows=False, menu=True)


def test_a_link_out_of_the_partition_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    inside = tmp_path / "inside"
    files = linux()
    del files["boot/vmlinuz"]
    (inside / "boot").mkdir(parents=True)
    (inside / "boot/vmlinuz").symlink_to(tmp_path / "outside")
    assert seen(inside, files) == System(windows=False, menu=True)


@pytest.mark.parametrize("windows", [True, False])
def test_files_are_no_system(tmp_path: Path, windows: bool) -> None:
    assert seen(tmp_path, {"home/ana/letter.txt": "Hola"}, windows=windows) is None


def test_windows(tmp_path: Path) -> None:
    files = {"WINDOWS/system32/NTOSKRNL.EXE": "MZ"}
    assert seen(tmp_path, files, windows=True) == System(windows=True)
    assert seen(tmp_path, {**files, "bootmgr": "x"}, windows=True) == System(windows=True, boot_manager=True)
