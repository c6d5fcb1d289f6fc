"""Which system was restored: os-release(5) for a Linux, its kernel for a Windows."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ogagent.finish.files import Files
from ogagent.finish.place import Volume
from ogagent.model.filesystem import NTFS
from ogagent.system import os_release

_KERNEL: Final = ("Windows", "System32", "ntoskrnl.exe")
_MENUS: Final = ("boot/grub", "boot/grub2")
_VENDOR: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_VENDORS: Final = {"opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse", "rhel": "redhat"}
"""Where the directory on the EFI system partition is not called as the distribution is."""


class System(Struct, frozen=True, kw_only=True):
    """``vendor`` is its directory on an EFI system partition, ``menu`` that of GRUB's, empty where it has none here."""

    name: str
    windows: bool = False
    vendor: str = ""
    menu: str = ""


def system_in(files: Files, volume: Volume) -> System | None:
    if volume.filesystem == NTFS.blkid:
        return System(name="Windows", windows=True) if files.find(*_KERNEL) else None
    text = next(filter(None, (files.read(path) for path in os_release.PLACES)), None)
    if text is None:
        return None
    members = os_release.members(text.decode("utf-8", "replace"))
    vendor = members.get("ID", "linux").lower()
    return System(
        name=members.get("PRETTY_NAME", "") or members.get("NAME", "Linux"),
        vendor=_VENDORS.get(vendor, vendor) if _VENDOR.fullmatch(vendor) else "linux",
        menu=next((each for each in _MENUS if "grub.cfg" in files.names(each)), ""),
    )
