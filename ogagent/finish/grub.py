"""GRUB for a BIOS: in the first sector of the disk and the gap behind it, or a BIOS boot partition; its prefix on the
restored partition.

By ``grub-install`` of the live system, with modules of the same version, which it puts beside the menu: those of the
image may be of another GRUB, and one with modules of another does not start. The menu is left alone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ogagent.errors import AgentError, NotReady
from ogagent.finish.files import Files
from ogagent.finish.machine import View
from ogagent.finish.place import Place
from ogagent.finish.system import System

_TIMEOUT_S: Final = 600.0
_CORE: Final = "boot/grub/i386-pc/core.img"
_LARGEST_CORE: Final = 4 << 20
_LARGEST_MENU: Final = 4 << 20
_SECTOR: Final = 512
_CODED: Final = 4096
_CORE_SECTOR: Final = 0x5C  # GRUB_BOOT_MACHINE_KERNEL_SECTOR, grub/include/grub/i386/pc/boot.h
_MENU: Final = "boot/grub"
_DEVICE_MAP: Final = "boot/grub/device.map"


class BiosGrub:
    """Implements ``ogagent.finish.step.Step``. ``root`` is where ``grub-install`` finds the system."""

    name: Final = "boot loader"

    warnings: Final[Sequence[str]] = ()

    def __init__(self, place: Place, files: Files, root: Path, view: View | None) -> None:
        self.would = f"GRUB in {place.target.disk_device} starts {place.target.name}"
        self._place = place
        self._files = files
        self._root = root
        self._view = view

    async def needed(self) -> bool:
        """What the first sector starts is packed, and tells nobody which partition it looks for."""
        return True

    async def do(self) -> None:
        target = self._place.target
        options = ("--target=i386-pc", f"--boot-directory={self._root}/boot", "--no-rs-codes", "--no-floppy")
        if self._view is None:
            raise NotReady("it is not mounted")
        try:
            # That of the model, where there is one, names the model's disks.
            self._files.replace(_DEVICE_MAP, f"(hd0)\t{target.disk_device}\n".encode())
            await self._view.run(("grub-install", *options, target.disk_device), _TIMEOUT_S)
            self._files.remove(_DEVICE_MAP)
        except AgentError as error:
            raise NotReady(f"GRUB could not be installed: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise NotReady(f"/{_DEVICE_MAP} cannot be changed: {error.strerror}") from error

    async def proof(self) -> None:
        """Without Reed-Solomon codes the core is on the disk as it is in its file, but for its first sector, which says
        where the rest is.
        """
        core, device = self._files.read(_CORE, _LARGEST_CORE) or b"", self._place.target.disk_device
        try:
            boot, found = _on_disk(device, len(core))
        except OSError as error:
            raise NotReady(f"{device} cannot be read: {error.strerror}") from error
        if not core or found[_SECTOR:] != core[_SECTOR:] or b"GRUB" not in boot:
            raise NotReady(f"{device} does not start with the GRUB that was installed")


def manages(place: Place, other: Files) -> bool:
    """Whether the disk starts with the GRUB of another partition, these being its files, and that one's menu knows
    ``place``. Blocking. Raises OSError, TooLarge.

    With Reed-Solomon codes, which distributions leave on, the beginning of the core differs from its file.
    """
    core = other.read(_CORE, _LARGEST_CORE) or b""
    boot, found = _on_disk(place.target.disk_device, len(core))
    if b"GRUB" not in boot or len(core) < 2 * _CODED or found[_CODED:] != core[_CODED:]:
        return False
    menu = other.read(f"{_MENU}/grub.cfg", _LARGEST_MENU) or b""
    return bool(place.volume.uuid) and place.volume.uuid.encode() in menu


def _on_disk(device: str, length: int) -> tuple[bytes, bytes]:
    """The first sector, and as many bytes of what it starts. Blocking. Raises OSError."""
    with Path(device).open("rb", buffering=0) as disk:
        boot = os.pread(disk.fileno(), _SECTOR, 0)
        (at,) = struct.unpack_from("<Q", boot, _CORE_SECTOR)
        return boot, os.pread(disk.fileno(), length, at * _SECTOR) if at < 1 << 40 else b""


def refuse_grub(place: Place, system: System) -> None:
    """Raises NotReady where it cannot be installed."""
    if system.menu != _MENU:
        raise NotReady(
            f"{system.name} on {place.target.name} has no menu of GRUB in /boot/grub",
            hint="only systems that start by GRUB and have /boot on the same partition get a boot loader; "
            "set finish.boot = false for others",
        )
    disk = place.target.identity
    places = [each for each in place.volumes if each.bios_boot and each.target.identity == disk]
    if kept := next((each for each in places if each.target.problem), None):
        raise NotReady(f"GRUB would be written into {kept.target.name}, which must not be: {kept.target.problem}")
    if place.table == "gpt" and not places:
        raise NotReady(
            f"{place.target.disk_device} is a GPT disk without a BIOS boot partition: GRUB has no place on it",
            hint="make one of 1 MiB (cpt BIOS-BOOT), or start the PC by UEFI",
        )
