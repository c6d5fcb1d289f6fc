"""A Windows that was restored: which one it is, its name in the network, and the letter of its drive.

All of it is in its registry, the hives SOFTWARE and SYSTEM.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import AgentError, NotReady
from ogagent.finish.drive import Place
from ogagent.finish.files import Files
from ogagent.finish.hive import Hive, copied
from ogagent.finish.hive_step import HiveStep
from ogagent.finish.reg_text import BINARY, DWORD, SZ, Change, Value, Values, text_value
from ogagent.software.windows import system_name
from ogagent.system.patience import in_thread

_log = logging.getLogger(__name__)

_SYSTEM32: Final = ("Windows", "System32")
_CURRENT: Final = r"\Microsoft\Windows NT\CurrentVersion"
_CONTROL_SET: Final = re.compile(r"\\ControlSet([0-9]{3})", re.IGNORECASE)
_COMPUTER_NAME: Final = r"\Control\ComputerName\ComputerName"
_TCPIP: Final = r"\Services\Tcpip\Parameters"
_MOUNTED: Final = r"\MountedDevices"
_LETTERS: Final = re.compile(r"\\dosdevices\\[a-z]:")
_LONGEST: Final = 15
"""MAX_COMPUTERNAME_LENGTH: a NetBIOS name has 16 bytes, and the last one says of which service it is."""
_LONGEST_TAIL: Final = 8


class WindowsSystem(Struct, frozen=True, kw_only=True):
    """``hive`` is the path of SYSTEM; ``letter`` that of the drive which it calls its own."""

    name: str
    hive: str
    letter: str = "C"


async def look(files: Files, folder: Path) -> WindowsSystem | None:
    """None where no Windows lies that could start. Raises NotReady when it cannot be read.

    Its name is only for people: where SOFTWARE does not tell, it is ``Windows``.
    """
    try:
        kernel = await in_thread(files.find, *_SYSTEM32, "ntoskrnl.exe")
        system = await in_thread(files.find, *_SYSTEM32, "config", "SYSTEM")
        software = await in_thread(files.find, *_SYSTEM32, "config", "SOFTWARE")
    except OSError as error:
        raise NotReady(f"the files of the restored system cannot be read: {error.strerror}") from error
    if kernel is None or system is None:
        return None
    said = await _said(files, software, folder) if software else {}
    root = re.match(r"([A-Za-z]):\\", said.get("SystemRoot", ""))
    return WindowsSystem(name=system_name(said) or "Windows", hive=system, letter=root[1].upper() if root else "C")


async def _said(files: Files, path: str, folder: Path) -> dict[str, str]:
    try:
        async with copied(files, path, folder) as hive:
            values = await hive.values(_CURRENT) or {}
    except AgentError as error:
        _log.warning("which Windows it is cannot be told: %s", error.message)
        return {}
    names = ("ProductName", "CurrentBuild", "UBR", "DisplayVersion", "ReleaseId", "SystemRoot")
    return {name: _plain(values[name.lower()]) for name in names if name.lower() in values}


def _plain(value: Value) -> str:
    return str(int.from_bytes(value.data, "little")) if value.kind == DWORD else value.text


class ComputerName(Struct, frozen=True):
    """``warning`` says what differs from the host name, for people; empty when nothing does."""

    name: str
    warning: str = ""


def computer_name(host: str) -> ComputerName:
    """For a PC that is called ``host``. Raises NotReady when no name can be made of it.

    At most 15 characters, letters, digits and hyphens (Microsoft, "Naming conventions in Active Directory"), and not
    digits alone, which Windows refuses. A longer one is cut: its beginning stays, as where Windows cuts one, and a
    number at its end, for the names of a room often differ in nothing else.
    """
    first = host.partition(".")[0]
    name = _cut(re.sub(r"[^A-Za-z0-9-]", "-", first).strip("-"))
    if not name or name.isdigit():
        raise NotReady(f"no computer name for Windows can be made of {host!r}", hint="give the PC a name with a letter")
    return ComputerName(name, "" if name == first else f"Windows cannot be called {first!r}, and is called {name}")


def _cut(label: str) -> str:
    if len(label) <= _LONGEST:
        return label
    number = re.search(rf"-?[0-9]{{1,{_LONGEST_TAIL - 1}}}$", label)
    tail = number[0] if number else ""
    return label[: _LONGEST - len(tail)].rstrip("-") + tail if tail else label[:_LONGEST].rstrip("-")


class NameComputer(HiveStep):
    """The names that Windows takes at its next start.

    They are in each control set: at a start Windows takes the one that ``Select\\Default`` names, or, at a start that
    failed, another one (Microsoft KB102984), and tools that look before it do not agree either. ActiveComputerName,
    beside ComputerName, is made anew in memory at each start, and never in the hive. NetBIOS names are in capitals by
    convention, and the host name's own beginning (Microsoft, "Computer Names"): so all of them are one name.
    """

    def __init__(self, files: Files, system: WindowsSystem, folder: Path, name: ComputerName) -> None:
        super().__init__(files, system.hive, folder)
        self._name = name

    @property
    def name(self) -> str:
        return "computer name"

    @property
    def would(self) -> str:
        return f"Windows calls the computer {self._name.name}"

    async def changes(self, hive: Hive) -> tuple[list[Change], list[str]]:
        sets = [key for key in await hive.names("\\") if _CONTROL_SET.fullmatch(key)]
        default = await _default_set(hive)
        if default.lower() not in map(str.lower, sets):
            raise NotReady(f"{self._path} has no {default}, with which its Windows would start")
        found: list[Change] = []
        for control_set in sets:
            found += await self._in(hive, control_set, must=control_set.lower() == default.lower())
        return found, [self._name.warning] if self._name.warning else []

    async def _in(self, hive: Hive, control_set: str, *, must: bool) -> list[Change]:
        """Of a set that is not complete nothing is used, unless Windows starts with it."""
        found: list[Change] = []
        capitals, plain = text_value(self._name.name.upper()), text_value(self._name.name)
        for key, wanted in (
            (control_set + _COMPUTER_NAME, {"ComputerName": capitals}),
            (control_set + _TCPIP, {"Hostname": plain, "NV Hostname": plain}),
        ):
            values = await hive.values(key)
            if values is None and must:
                raise NotReady(f"{self._path} has no {key}")
            if values is not None:
                found += _differing(key, values, wanted)
        return found


async def _default_set(hive: Hive) -> str:
    """Raises NotReady when the hive is none of a system."""
    select = await hive.values(r"\Select") or {}
    chosen = select.get("default") or select.get("current")
    if chosen is None or chosen.kind != DWORD:
        raise NotReady("the registry does not say which control set its Windows starts with")
    return rf"\ControlSet{int.from_bytes(chosen.data, 'little'):03d}"


async def drive_id(files: Files, system: WindowsSystem, folder: Path) -> bytes | None:
    """What the partition was to the Windows that was captured, as MountedDevices has it; None for one that does not
    know: sysprep has made it forget. Raises NotReady and ToolMissing.
    """
    async with copied(files, system.hive, folder) as hive:
        found = (await hive.values(_MOUNTED) or {}).get(_drive(system.letter).lower())
    return found.data if found else None


class LetterDrive(HiveStep):
    """Windows' own drive keeps its letter, on the partition where it is now, and no other letter names that one.

    What the BCD store named is known by what stood here before: this comes after ``ogagent.finish.bcd``.
    """

    def __init__(self, files: Files, system: WindowsSystem, folder: Path, here: Place) -> None:
        super().__init__(files, system.hive, folder)
        self._letter = system.letter
        self._here = here

    @property
    def name(self) -> str:
        return "drive letter"

    @property
    def would(self) -> str:
        return f"{self._letter}: is the partition where Windows is now"

    async def changes(self, hive: Hive) -> tuple[list[Change], list[str]]:
        values = await hive.values(_MOUNTED) or {}
        drive, here = _drive(self._letter), Value(BINARY, self._here.unique_id)
        stale = [
            Change(_MOUNTED, name, None)
            for name, value in values.items()
            if _LETTERS.fullmatch(name) and name != drive.lower() and value.data == here.data
        ]
        return [*stale, *_differing(_MOUNTED, values, {drive: here})], []


def _drive(letter: str) -> str:
    return rf"\DosDevices\{letter}:"


def _differing(key: str, values: Values, wanted: dict[str, Value]) -> list[Change]:
    return [Change(key, name, value) for name, value in wanted.items() if not _same(values.get(name.lower()), value)]


def _same(found: Value | None, wanted: Value) -> bool:
    """A text is the same without the zero at its end, too."""
    if found is None or found.kind != wanted.kind:
        return False
    return found.text == wanted.text if wanted.kind == SZ else found.data == wanted.data
