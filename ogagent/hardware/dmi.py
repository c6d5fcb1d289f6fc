"""What the firmware says of the machine, in tables after the SMBIOS specification, DSP0134. Some machines have none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ogagent.hardware.sysfs import content, line, number
from ogagent.model.hardware import Component
from ogagent.model.units import KIB, MIB
from ogagent.system.text import printable

_ID: Final = "sys/class/dmi/id"
_TABLES: Final = "sys/firmware/dmi/tables/DMI"
_LARGEST: Final = 256 * KIB
_MEMORY_DEVICE: Final = 17
_END: Final = 127
_MOST_MODULES: Final = 128

_CHASSIS: Final = (
    "Other", "Unknown", "Desktop", "Low Profile Desktop", "Pizza Box", "Mini Tower", "Tower", "Portable", "Laptop",
    "Notebook", "Hand Held", "Docking Station", "All in One", "Sub Notebook", "Space-saving", "Lunch Box",
    "Main Server Chassis", "Expansion Chassis", "SubChassis", "Bus Expansion Chassis", "Peripheral Chassis",
    "RAID Chassis", "Rack Mount Chassis", "Sealed-case PC", "Multi-system Chassis", "CompactPCI", "AdvancedTCA",
    "Blade", "Blade Enclosure", "Tablet", "Convertible", "Detachable", "IoT Gateway", "Embedded PC", "Mini PC",
    "Stick PC",
)  # fmt: skip
"""From 1 on: DSP0134, System Enclosure or Chassis Types."""
_UNKNOWN: Final = "Unknown"
_LOCK: Final = 0x80  # the chassis has one

_NO_NAMES: Final = (
    "default string", "none", "not applicable", "not specified", "o.e.m.", "system manufacturer", "system product name",
    "system version", "to be filled by o.e.m.", "undefined", "unknown",
)  # fmt: skip
"""What firmware says when nobody has told it what to say."""


def chassis(root: Path) -> Component:
    kind = (number(root / _ID / "chassis_type") or 0) & ~_LOCK
    return Component(code="cha", name=_CHASSIS[kind - 1] if 0 < kind <= len(_CHASSIS) else _UNKNOWN)


def machine(root: Path) -> Iterator[Component]:
    """Model, mainboard and BIOS."""
    directory = root / _ID
    model = Component(
        code="mod",
        vendor=_said(directory / "sys_vendor"),
        name=_said(directory / "product_name"),
        version=_said(directory / "product_version"),
    )
    board = Component(
        code="boa",
        vendor=_said(directory / "board_vendor"),
        name=_said(directory / "board_name"),
        version=_said(directory / "board_version"),
    )
    bios = Component(
        code="bio",
        vendor=_said(directory / "bios_vendor"),
        name="BIOS",
        version=" ".join(filter(None, (_said(directory / "bios_version"), _said(directory / "bios_date")))),
    )
    yield from (each for each in (model, board) if each.vendor or each.name)
    if bios.vendor or bios.version:
        yield bios


def memory_modules(root: Path) -> list[Component]:
    """Empty where the firmware does not tell, or may not be asked."""
    return parse_modules(content(root / _TABLES, _LARGEST))


def parse_modules(tables: bytes) -> list[Component]:
    modules = (_module(body, texts) for kind, body, texts in _structures(tables) if kind == _MEMORY_DEVICE)
    return [module for module in modules if module is not None][:_MOST_MODULES]


def _structures(tables: bytes) -> Iterator[tuple[int, bytes, list[str]]]:
    """Type, formatted area, and the strings that the latter counts from 1, up to the first that cannot be right."""
    place = 0
    while place + 4 <= len(tables):
        kind, length = tables[place], tables[place + 1]
        end = tables.find(b"\0\0", place + length)
        if length < 4 or end < 0 or kind == _END:
            return
        texts = tables[place + length : end].split(b"\0")
        yield kind, tables[place : place + length], [text.decode("utf-8", "replace") for text in texts]
        place = end + 2


def _module(body: bytes, texts: list[str]) -> Component | None:
    """None for an empty slot. Offsets as in DSP0134, Memory Device (Type 17)."""
    size = _size(body)
    if not size:
        return None
    return Component(
        code="mem",
        vendor=_text(body, 0x17, texts),
        name=_text(body, 0x1A, texts),
        size=size,
        place=_text(body, 0x10, texts),
        speed=_word(body, 0x15) or None,
    )


def _size(body: bytes) -> int:
    size = _word(body, 0x0C)
    if size == 0xFFFF:  # not known
        return 0
    if size == 0x7FFF:
        return (int.from_bytes(body[0x1C:0x20], "little") & 0x7FFFFFFF) * MIB
    return (size & 0x7FFF) * (KIB if size & 0x8000 else MIB)


def _word(body: bytes, offset: int) -> int:
    return int.from_bytes(body[offset : offset + 2], "little")


def _text(body: bytes, offset: int, texts: list[str]) -> str:
    number = body[offset] if offset < len(body) else 0
    return _named(printable(texts[number - 1])) if 0 < number <= len(texts) else ""


def _said(path: Path) -> str:
    return _named(line(path))


def _named(text: str) -> str:
    return "" if text.lower() in _NO_NAMES else text
