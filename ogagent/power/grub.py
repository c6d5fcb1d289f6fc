"""Which kernel the boot menu of a Linux starts by itself, and how. Blocking; everything raises OSError, TooLarge.

The menu is GRUB's own, or, where that says so, one file for each entry (https://uapi-group.org/specifications/specs/
boot_loader_specification).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ogagent.model.text import is_printable
from ogagent.power.menu import Entry, default_entry, environment_block, expanded, parse_menu

_ENTRIES: Final = "boot/loader/entries"
_SUFFIX: Final = ".conf"
_LARGEST: Final = 4 << 20
_SMALL: Final = 1 << 16
_MOST_ENTRIES: Final = 200
_LONGEST: Final = 2047  # COMMAND_LINE_SIZE of x86, less its zero byte
_PATH: Final = re.compile(r"/[!-~]{1,200}")


class Readable(Protocol):
    """The files of a system. Blocking; None and an empty list for what is not there."""

    def read(self, path: str, limit: int) -> bytes | None: ...

    def names(self, path: str) -> list[str]: ...


class Kernel(Struct, frozen=True, kw_only=True):
    """``linux`` and ``initrd`` are paths from the top of their file system, whose UUID is ``uuid``; empty: it is not
    told.
    """

    linux: str
    initrd: str
    command_line: str
    uuid: str = ""

    def below(self, folder: str) -> Kernel:
        return replace(self, linux=f"{folder}{self.linux}", initrd=f"{folder}{self.initrd}")


def default_kernel(root: Readable, folder: str) -> Kernel | None:
    """``folder`` is where ``grub.cfg`` is. None when that starts no Linux, or in a way that is not understood here."""
    environment = environment_block(_text(root, f"{folder}/grubenv", _SMALL))
    menu = parse_menu(_text(root, f"{folder}/grub.cfg", _LARGEST), environment)
    entry = _default_file(root, menu.variables) if menu.blscfg else default_entry(menu)
    if entry is None or not _PATH.fullmatch(entry.linux) or not _PATH.fullmatch(entry.initrd):
        return None
    if not is_printable(entry.options) or len(entry.options) > _LONGEST:
        return None
    return Kernel(linux=entry.linux, initrd=entry.initrd, command_line=entry.options, uuid=entry.uuid.lower())


def _default_file(root: Readable, variables: Mapping[str, str]) -> Entry | None:
    names = [each.removesuffix(_SUFFIX) for each in root.names(_ENTRIES) if each.endswith(_SUFFIX)]
    newest = sorted(names[:_MOST_ENTRIES], key=_version, reverse=True)
    saved = variables.get("saved_entry", "")
    if not newest:
        return None
    name = saved if saved in newest else newest[int(saved) if saved.isdecimal() and int(saved) < len(newest) else 0]
    lines = _text(root, f"{_ENTRIES}/{name}{_SUFFIX}", _SMALL).splitlines()
    members = {key: value.strip() for key, _, value in (line.strip().partition(" ") for line in lines)}
    return Entry(
        linux=members.get("linux", ""),
        options=" ".join(expanded(members.get("options", ""), variables).split()),
        initrd=expanded(members.get("initrd", ""), variables).split(" ")[0],
    )


def _version(name: str) -> list[tuple[int, str]]:
    """Numbers come after letters, and are compared as such."""
    return [(int(each), "") if each.isdecimal() else (-1, each) for each in re.findall(r"\d{1,18}|[a-z]+", name)]


def _text(root: Readable, path: str, limit: int) -> str:
    return (root.read(path, limit) or b"").decode("utf-8", "replace")
