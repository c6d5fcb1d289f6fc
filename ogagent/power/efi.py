"""The boot entries of UEFI firmware, by efibootmgr. The order of those that are there is never changed."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from ogagent.disk.blkid import partition_uuid
from ogagent.errors import NoSystem, ToolFailed
from ogagent.model.plan import Target
from ogagent.power.down import Down, Goal
from ogagent.power.esp import Loader
from ogagent.power.look import probed
from ogagent.system import process

_TOOL: Final = "efibootmgr"
_TIMEOUT_S: Final = 30.0
_ENTRY: Final = re.compile(r"Boot([0-9A-F]{4})(\*?) +(.*)", re.IGNORECASE)
_PLACE: Final = re.compile(r"HD\(([^()]*)\)/?(?:File\()?(\\.+?\.efi)", re.IGNORECASE)
"""As efibootmgr up to 17 writes it, ``HD(…)/File(\\EFI\\…)``, and from 18 on, ``HD(…)/\\EFI\\…``, where what the entry
hands to the program follows without a gap.
"""
_MSDOS_UUID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{2,})", re.IGNORECASE)
_SUFFIXES: Final = {"x86_64": "x64", "aarch64": "aa64"}
_OF_32_BITS: Final = {"x86_64": "ia32", "i686": "ia32", "aarch64": "arm"}


class BootEntry(Struct, frozen=True, kw_only=True):
    """``parts`` are what the firmware knows its partition by, in small letters; ``path`` is the program's."""

    number: str
    label: str
    active: bool
    parts: tuple[str, ...] = ()
    path: str = ""

    def starts(self, uuid: str, path: str) -> bool:
        """``uuid`` of the partition, as libblkid has it. Names on a FAT file system have no case."""
        return self._is_on(uuid.lower()) and self.path.lower() == path.lower()

    def _is_on(self, uuid: str) -> bool:
        if msdos := _MSDOS_UUID.fullmatch(uuid):
            signature, number = (int(each, 16) for each in msdos.groups())
            return self.parts[:3] == (str(number), "mbr", hex(signature))
        return bool(uuid) and uuid in self.parts


class Firmware(Struct, frozen=True, kw_only=True):
    """``order`` and ``next`` are numbers, of four hex digits."""

    order: tuple[str, ...] = ()
    next: str = ""
    entries: tuple[BootEntry, ...] = ()

    def entry(self, uuid: str, path: str) -> BootEntry | None:
        """Firmware skips one that is not active."""
        return next((each for each in self.entries if each.active and each.starts(uuid, path)), None)


def parse_firmware(text: str) -> Firmware:
    """From the output of ``efibootmgr -v``."""
    values = dict(line.split(": ", 1) for line in text.splitlines() if re.match(r"Boot(?:Order|Next): ", line))
    order = (each.strip().upper() for each in values.get("BootOrder", "").split(","))
    return Firmware(
        order=tuple(filter(None, order)),
        next=values.get("BootNext", "").strip().upper(),
        entries=tuple(_entry(found) for line in text.splitlines() if (found := _ENTRY.fullmatch(line))),
    )


def _entry(found: re.Match[str]) -> BootEntry:
    number, star, rest = found.groups()
    label = rest.partition("\t")[0].strip()
    place = None
    for place in _PLACE.finditer(rest):  # noqa: B007 - the last one is the program's
        pass
    parts = tuple(place[1].lower().split(",")) if place else ()
    return BootEntry(number=number.upper(), label=label, active=bool(star), parts=parts, path=place[2] if place else "")


async def read_firmware() -> Firmware:
    """Raises ToolMissing, ToolFailed."""
    return parse_firmware((await process.run([_TOOL, "-v"], timeout_s=_TIMEOUT_S)).decode("utf-8", "replace"))


def loader_suffix(firmware: Path, machine: str) -> str:
    """How the firmware's programs end. A PC of 64 bits may have firmware of 32."""
    bits = ""
    with suppress(OSError):
        bits = (firmware / "fw_platform_size").read_text("ascii").strip()
    return (_OF_32_BITS if bits == "32" else _SUFFIXES).get(machine, "x64")


class EfiEntry:
    """Implements ``ogagent.power.power.Way``. ``uuid`` is the ESP's; without a ``number`` the entry has to be made."""

    def __init__(self, esp: Target, uuid: str, loader: Loader, number: str, down: Down) -> None:
        self._esp = esp
        self._uuid = uuid
        self._loader = loader
        self._number = number
        self._down = down

    @classmethod
    async def found(cls, esp: Target, loader: Loader, down: Down) -> Self:
        uuid = await probed(esp.device, partition_uuid)
        if not uuid:
            raise NoSystem(f"{esp.name} has no identity in its table by which firmware could find it")
        entry = (await read_firmware()).entry(uuid, loader.path)
        return cls(esp, uuid, loader, entry.number if entry else "", down)

    @property
    def would(self) -> str:
        entry = f"Boot{self._number}" if self._number else "a new boot entry"
        return f"start {self._loader.path} of {self._esp.device} once, by {entry}, and restart"

    async def prepare(self) -> None:
        before = await read_firmware()
        try:
            entry = before.entry(self._uuid, self._loader.path) or await self._made()
            await self._run("--bootnext", entry.number)
        finally:
            await self._keep_order(before)
        if (after := await read_firmware()).next != entry.number:
            raise ToolFailed(f"the firmware does not take Boot{entry.number} as the next one: {after.next or 'none'}")

    async def go(self) -> None:
        await self._down.go(Goal.RESTART)

    async def _made(self) -> BootEntry:
        place = ("--disk", self._esp.disk_device, "--part", str(self._esp.partition))
        await self._run("--create-only", *place, "--label", self._loader.label, "--loader", self._loader.path)
        entry = (await read_firmware()).entry(self._uuid, self._loader.path)
        if entry is None:
            raise ToolFailed("the firmware does not keep a new boot entry", hint="look whether its memory is full")
        return entry

    async def _keep_order(self, before: Firmware) -> None:
        """Of which the network comes first, perhaps: otherwise the machine would never come back to its ogLive."""
        if (await read_firmware()).order == before.order:
            return
        await self._run(*(("--bootorder", ",".join(before.order)) if before.order else ("--delete-bootorder",)))
        if (await read_firmware()).order != before.order:
            raise ToolFailed("the firmware does not keep its boot order", hint="look at it: efibootmgr")

    @staticmethod
    async def _run(*arguments: str) -> None:
        await process.run([_TOOL, *arguments], timeout_s=_TIMEOUT_S)
