"""What Windows says of itself and of the programs in it: the hive SOFTWARE of its registry.

The hive is read by hivexregedit, a process of its own, for it may say anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Final

from ogagent.errors import ToolFailed
from ogagent.model.software import Package, Software
from ogagent.software.found import package
from ogagent.system import process
from ogagent.system.text import printable
from ogagent.system.tree import Tree

_HIVE: Final = ("Windows", "System32", "config", "SOFTWARE")
_CURRENT: Final = r"\Microsoft\Windows NT\CurrentVersion"
_PROGRAMS: Final = (
    r"\Microsoft\Windows\CurrentVersion\Uninstall",
    r"\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",  # programs of 32 bits
)
_ABSENT: Final = "path not found"
_TIMEOUT_S: Final = 60.0
_MOST_OUTPUT: Final = 32 << 20
_LARGEST: Final = 1 << 30
_MOST_PROGRAMS: Final = 20_000
_ELEVEN: Final = 22000  # the first build of Windows 11, which goes on calling itself Windows 10 here

_VALUE: Final = re.compile(r'"(?P<name>[^"\\]+)"=(?:dword:(?P<number>[0-9a-f]{8})|hex\([12]\):(?P<text>[0-9a-f,]*))')

Key = Mapping[str, str]


def open_software_hive(tree: Tree) -> int | None:
    """A descriptor; None when no Windows lies in there. Blocking. Raises OSError, TooLarge."""
    path = tree.find(*_HIVE)
    return tree.open_file(path) if path else None


async def read_windows(hive: int) -> Software:
    """Raises ToolMissing, ToolFailed. The hive is read by a path that needs none of the partition's own."""
    path = f"/proc/{os.getpid()}/fd/{hive}"
    if os.fstat(hive).st_size > _LARGEST:
        raise ToolFailed(f"the registry has more than {_LARGEST} bytes")
    current = await _export(path, _CURRENT, 1)
    programs: set[Package] = set()
    for place in _PROGRAMS:
        programs.update(_programs(await _export(path, place, 2)))
    notes = (f"there are more programs than {_MOST_PROGRAMS}",) if len(programs) > _MOST_PROGRAMS else ()
    return Software(
        system=next((name for key in current if (name := system_name(key))), ""),
        packages=tuple(sorted(programs)[:_MOST_PROGRAMS]),
        notes=notes,
    )


async def _export(path: str, key: str, depth: int) -> list[Key]:
    command = ["hivexregedit", "--export", "--max-depth", str(depth), path, key]
    try:
        text = await process.run(command, timeout_s=_TIMEOUT_S, max_output=_MOST_OUTPUT)
    except ToolFailed as error:
        if _ABSENT in error.message:
            return []
        raise
    return list(parse_keys(text.decode("utf-8", "replace")))


def parse_keys(text: str) -> Iterator[Key]:
    """The values of each key that are numbers or texts."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            yield values
            values = {}
        elif found := _VALUE.fullmatch(line):
            values[found["name"]] = _text(found["text"]) if found["number"] is None else str(int(found["number"], 16))
    yield values


def _text(spelled: str) -> str:
    digits = spelled.replace(",", "")
    return bytes.fromhex(digits[: len(digits) // 4 * 4]).decode("utf-16-le", "replace").partition("\0")[0]


def _programs(keys: list[Key]) -> Iterator[Package]:
    yield from filter(None, (package(key.get("DisplayName", ""), key.get("DisplayVersion", "")) for key in keys))


def system_name(key: Key) -> str:
    """``Windows 11 Pro 23H2 (22631.3155)``; empty for a key that names none."""
    name, build, revision = (key.get(value, "") for value in ("ProductName", "CurrentBuild", "UBR"))
    if not name:
        return ""
    if build.isdecimal() and len(build) < 10 and int(build) >= _ELEVEN:
        name = name.replace("Windows 10", "Windows 11")
    release = key.get("DisplayVersion") or key.get("ReleaseId", "")
    number = ".".join(filter(None, (build, revision)))
    return printable(" ".join(filter(None, (name, release, f"({number})" if number else ""))))
