"""Which system lies on a partition, as far as its start goes by it. Blocking; everything raises OSError, TooLarge."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from ogagent.power.grub import Kernel, default_kernel
from ogagent.system import os_release
from ogagent.system.tree import Tree

_KERNEL: Final = ("Windows", "System32", "ntoskrnl.exe")
_BOOT_MANAGER: Final = "bootmgr"
_MENUS: Final = ("boot/grub", "boot/grub2")


class System(Struct, frozen=True, kw_only=True):
    """``boot_manager``: Windows' own for a BIOS is there, too. ``menu``: GRUB's is, and ``kernel`` what it starts."""

    windows: bool
    boot_manager: bool = False
    menu: bool = False
    kernel: Kernel | None = None


def look_for_system(tree: Tree, *, windows: bool) -> System | None:
    if windows:
        if tree.find(*_KERNEL) is None:
            return None
        return System(windows=True, boot_manager=tree.find(_BOOT_MANAGER) is not None)
    for path in os_release.ROOTS:
        if (below := tree.below(path)) is None:
            continue
        try:
            if any(_is_file(below, place) for place in os_release.PLACES):
                return _linux(below, tree, path)
        finally:
            below.close()
    return None


def _linux(root: Tree, whole: Tree, path: str) -> System:
    """GRUB counts from the top of the file system, of which ``path`` is the root."""
    folder = next((each for each in _MENUS if _is_file(root, f"{each}/grub.cfg")), None)
    if folder is None:
        return System(windows=False)
    kernel = default_kernel(root, folder)
    for prefix in (".", path):
        if kernel and _is_file(whole, f"{prefix}{kernel.linux}") and _is_file(whole, f"{prefix}{kernel.initrd}"):
            return System(windows=False, menu=True, kernel=kernel.below(prefix))
    return System(windows=False, menu=True)


def _is_file(tree: Tree, path: str) -> bool:
    if (fd := tree.open_file(path)) is None:
        return False
    os.close(fd)
    return True
