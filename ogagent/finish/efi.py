"""A boot loader for UEFI: the image's own, signed as its distribution has signed it, on an EFI system partition of this
machine, with a stub that finds the restored partition, and an entry in the firmware after those that are there.

Where the loaders are in a system: Debian's and Ubuntu's shim-signed and grub-efi-amd64-signed, openSUSE's shim and
grub2-x86_64-efi. Where GRUB of a distribution looks for its stub is built into it, and signed: ``EFI/<vendor>``; a
derivative that takes the GRUB of another one has that one's directory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from ogagent.errors import AgentError, NotReady, ToolFailed
from ogagent.finish.files import Edit, Files
from ogagent.finish.place import Place, Volume
from ogagent.finish.system import System
from ogagent.model.filesystem import BTRFS
from ogagent.power.efi import BootEntry, Firmware, read_firmware
from ogagent.system import process

_TOOL: Final = "efibootmgr"
_TIMEOUT_S: Final = 30.0
_LARGEST: Final = 32 << 20
_SHIMS: Final = (
    "usr/lib/shim/shimx64.efi.signed",
    "usr/lib/shim/shimx64.efi.signed.latest",
    "usr/share/efi/x86_64/shim.efi",
    "usr/lib64/efi/shim.efi",
)
_GRUBS: Final = (
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    "usr/share/efi/x86_64/grub.efi",
    "usr/lib64/efi/grub.efi",
    "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
)
_MANAGERS: Final = (
    "usr/lib/shim/mmx64.efi.signed",
    "usr/lib/shim/mmx64.efi",
    "usr/share/efi/x86_64/MokManager.efi",
)
_FALLBACK: Final = ("EFI", "BOOT", "BOOTX64.EFI")
_PREFIX: Final = re.compile(rb"\0/EFI/(?!BOOT\0)([A-Z0-9][A-Z0-9._-]{0,31})\0", re.IGNORECASE)  # of grub-mkimage


class Loaders(Struct, frozen=True, kw_only=True):
    """Contents; ``shim`` is None where the distribution has none, ``grub`` where it has left no loader in itself."""

    shim: bytes | None
    grub: bytes | None
    manager: bytes | None

    @property
    def first(self) -> str:
        """The program that the firmware starts."""
        return "shimx64.efi" if self.shim else "grubx64.efi"

    def vendor(self, system: System) -> str:
        """The directory in which its GRUB looks for its stub: as that says, or as the system is called."""
        found = {each.decode("ascii") for each in _PREFIX.findall(self.grub or b"")}
        return found.pop() if len(found) == 1 else system.vendor


def loaders_of(files: Files) -> Loaders:
    found = [next(filter(None, (files.read(path, _LARGEST) for path in paths)), None) for paths in _PLACES]
    return Loaders(shim=found[0], grub=found[1], manager=found[2])


_PLACES: Final = (_SHIMS, _GRUBS, _MANAGERS)


def esp_of(place: Place, system: System) -> Volume:
    """Raises NotReady."""
    if not system.menu and not system.windows:
        raise NotReady(
            f"{system.name} on {place.target.name} has no menu of GRUB in /boot",
            hint="only systems that start by GRUB and have /boot on the same partition get a boot loader; "
            "set finish.boot = false for others",
        )
    if place.esp is None:
        raise NotReady(
            "this machine starts by UEFI and has no EFI system partition", hint="make one (cpt EFI, sfi FAT32)"
        )
    return place.esp


def first_program(system: System, loaders: Loaders, esp: Files) -> str:
    """That of the image, or, where it brings none, of those that are there already."""
    if loaders.grub is not None:
        return loaders.first
    return "shimx64.efi" if esp.find("EFI", loaders.vendor(system), "shimx64.efi") else "grubx64.efi"


def loader_edits(place: Place, system: System, loaders: Loaders, esp: Files, prefix: str) -> Iterator[Edit]:
    """On the EFI system partition; ``prefix`` is where GRUB finds its menu, from the top of its file system.

    Raises NotReady when there is no loader, or its place is taken by another system of this machine.
    """
    vendor = loaders.vendor(system)
    folder = esp.find("EFI", vendor) or f"EFI/{vendor}"
    stub = f"{folder}/grub.cfg"
    _refuse_taken(place, stub, esp)
    if loaders.grub is None and esp.find("EFI", vendor, "grubx64.efi") is None:
        raise NotReady(
            f"{system.name} on {place.target.name} has no boot loader for UEFI in it, and {folder} has none either",
            hint="install shim-signed and grub-efi-amd64-signed in the model, and make the image again",
        )
    if loaders.grub is not None:
        yield from _programs(folder, loaders)
        if esp.find(*_FALLBACK) is None:
            yield from _programs("EFI/BOOT", loaders, first="BOOTX64.EFI")
    yield Edit(path=stub, content=_stub(place.volume, prefix))


def _programs(folder: str, loaders: Loaders, first: str = "") -> Iterator[Edit]:
    """The one that the firmware starts comes last: where it is, the others are, too."""
    found = (("mmx64.efi", loaders.manager), ("grubx64.efi", loaders.grub), ("shimx64.efi", loaders.shim))
    for name, content in found:
        if content is not None:
            yield Edit(path=f"{folder}/{first if first and name == loaders.first else name}", content=content)


def _stub(volume: Volume, prefix: str) -> bytes:
    """SUSE's GRUB knows the subvolume that is mounted where none is named, and all its menus go by that."""
    relative = 'set btrfs_relative_path="yes"\n' if volume.filesystem == BTRFS.blkid else ""
    search = f"search.fs_uuid {volume.uuid} root\n"
    return f"{relative}{search}set prefix=($root)'{prefix}'\nconfigfile $prefix/grub.cfg\n".encode()


def _refuse_taken(place: Place, stub: str, esp: Files) -> None:
    text = (esp.read(stub) or b"").decode("utf-8", "replace")
    for volume in place.volumes:
        if volume.uuid and volume.uuid != place.volume.uuid and volume.uuid in text:
            raise NotReady(
                f"{stub} starts {volume.target.name}: two systems of one distribution cannot share it",
                hint="restore the image onto that partition, or remove the other system's directory",
            )


class FirmwareEntry:
    """Implements ``ogagent.finish.step.Step``. A firmware that refuses is no failure: the fallback of the EFI system
    partition is there.
    """

    name: Final = "boot entry"

    def __init__(self, esp: Volume, label: str, path: str) -> None:
        self.would = f"an entry {label} of the firmware, after those that are there"
        self._esp = esp
        self._label = label
        self._path = path
        self.warnings: list[str] = []

    async def needed(self) -> bool:
        try:
            return not _is_in_order(await read_firmware(), self._own)
        except AgentError as error:
            self.warnings.append(error.message)
            return False

    async def do(self) -> None:
        try:
            await self._make()
        except AgentError as error:
            self.warnings.append(error.message)

    async def proof(self) -> None:
        """``do`` has looked."""

    async def _make(self) -> None:
        before = await read_firmware()
        own = self._own(before)
        for extra in own[1:]:
            await _run("--bootnum", extra.number, "--delete-bootnum")
        if not own:
            place = ("--disk", self._esp.target.disk_device, "--part", str(self._esp.target.partition))
            await _run("--create-only", *place, "--label", self._label, "--loader", self._path)
        after = await read_firmware()
        kept = self._own(after)
        if not kept:
            raise ToolFailed("the firmware does not keep a new boot entry", hint="look whether its memory is full")
        known = {each.number for each in after.entries}
        order = [*(each for each in before.order if each in known and each != kept[0].number)]
        place_of_own = before.order.index(kept[0].number) if kept[0].number in before.order else len(order)
        order.insert(place_of_own, kept[0].number)
        if tuple(order) != after.order:
            await _run("--bootorder", ",".join(order))
        if not _is_in_order(await read_firmware(), self._own):
            raise ToolFailed("the firmware does not keep its boot order", hint="look at it: efibootmgr")

    def _own(self, firmware: Firmware) -> list[BootEntry]:
        return [each for each in firmware.entries if each.active and each.starts(self._esp.part_uuid, self._path)]


def _is_in_order(firmware: Firmware, own: Callable[[Firmware], list[BootEntry]]) -> bool:
    found = own(firmware)
    return len(found) == 1 and found[0].number in firmware.order


async def _run(*arguments: str) -> None:
    await process.run((_TOOL, *arguments), timeout_s=_TIMEOUT_S)
