"""GRUB's menu as its configuration has it, which is a script: what grub-mkconfig writes is understood, and no more.

Nothing is run. A condition counts as true, a variable that is nowhere set as empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

_LINUX: Final = ("linux", "linux16", "linuxefi")
_INITRD: Final = ("initrd", "initrd16", "initrdefi")
_ID: Final = ("--id", "$menuentry_id_option")
_UUID: Final = "--fs-uuid"
_WORD: Final = re.compile(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\;])+|;""")
_PART: Final = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)""")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_DEEPEST: Final = 16
_MOST_ENTRIES: Final = 1000


class Entry(Struct):
    """One line of the menu; a submenu has ``entries``. Paths as GRUB has them; ``uuid`` of where they are."""

    title: str = ""
    id: str = ""
    linux: str = ""
    options: str = ""
    initrd: str = ""
    uuid: str = ""
    entries: list[Entry] = field(default_factory=list)


class Menu(Struct):
    """``blscfg``: most of the menu is in files of their own."""

    entries: list[Entry]
    default: str
    blscfg: bool
    variables: Mapping[str, str]


def parse_menu(text: str, environment: Mapping[str, str]) -> Menu:
    """``environment``: the variables that GRUB keeps from start to start."""
    reader = _Reader(environment)
    for line in text.splitlines():
        for command in _commands(line):
            reader.take(command)
    return Menu(reader.top.entries, reader.default or "0", reader.blscfg, reader.variables)


def default_entry(menu: Menu) -> Entry | None:
    """What starts when nobody chooses: by number, identifier or title, ``>`` leading into a submenu."""
    entries, found = menu.entries, None
    for name in menu.default.split(">"):
        found = _named(entries, name)
        if found is None:
            break
        entries = found.entries
    return _first(found or (menu.entries[0] if menu.entries else None))


def _named(entries: Sequence[Entry], name: str) -> Entry | None:
    if name.isdecimal():
        return entries[int(name)] if int(name) < len(entries) else None
    return next((each for each in entries if name and name in (each.id, each.title)), None)


def _first(entry: Entry | None) -> Entry | None:
    while entry is not None and entry.entries:
        entry = entry.entries[0]
    return entry


def expanded(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), text)


def environment_block(text: str) -> dict[str, str]:
    """``grubenv``, of which ``#`` fills the rest."""
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, equals, value in lines if equals}


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.top = Entry()
        self.default = ""
        self.blscfg = False
        self.variables = dict(environment)
        self._kept = environment
        self._open: list[Entry] = []
        self._count = 0

    def take(self, words: list[str]) -> None:
        name, arguments = words[0], words[1:]
        entry = self._open[-1] if self._open else self.top
        if words[-1] == "{":
            self._begin(name, arguments[:-1], entry)
        elif name == "}":
            if self._open:
                self._open.pop()
        elif name == "set" and arguments:
            self._set(*arguments[0].partition("=")[::2])
        elif name == "blscfg":
            self.blscfg = True
        elif entry is not self.top:
            self._fill(entry, name, [self._plain(each) for each in arguments])

    def _begin(self, name: str, arguments: list[str], entry: Entry) -> None:
        if name in ("menuentry", "submenu") and len(self._open) < _DEEPEST and self._count < _MOST_ENTRIES:
            names = [self._plain(each) for each in arguments]
            known = (names[at + 1] for at, each in enumerate(arguments[:-1]) if each in _ID)
            fresh = Entry(title=names[0] if names else "", id=next(known, ""))
            entry.entries.append(fresh)
            entry = fresh
            self._count += 1
        self._open.append(entry)

    def _set(self, name: str, value: str) -> None:
        """The first default counts that is not for the next start alone; a second is for when that one has failed."""
        if name == "default":
            self.default = self.default or ("" if "next_entry" in value else self._plain(value))
        elif name not in self._kept:
            self.variables[name] = self._plain(value)

    @staticmethod
    def _fill(entry: Entry, name: str, arguments: list[str]) -> None:
        if name in _LINUX and arguments and not entry.linux:
            entry.linux, entry.options = arguments[0], " ".join(filter(None, arguments[1:]))
        elif name in _INITRD and arguments and not entry.initrd:
            entry.initrd = arguments[-1]  # those before it are microcode, which the processors have by now
        elif name == "search" and _UUID in arguments:
            entry.uuid = arguments[-1]

    def _plain(self, word: str) -> str:
        parts = []
        for single, double, escaped, bare in _PART.findall(word):
            if double or bare:
                parts.append(re.sub(r"\\(.)", r"\1", expanded(double or bare, self.variables)))
            else:
                parts.append(single or escaped)
        return "".join(parts)


def _commands(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in _WORD.findall(line):
        if word.startswith("#"):
            break
        if word != ";":
            words.append(word)
        if word in (";", "{") and words:
            yield words
            words = []
    if words:
        yield words
