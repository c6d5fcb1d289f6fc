"""What a machine is made of."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ogagent.model.units import format_bytes

HardwareCode = Literal[
    "cha", "boo", "boa", "bio", "cpu", "mem", "vga", "dis", "net", "aud", "mul", "mod", "cdr", "ide", "fir", "usb",
    "bus", "sto",
]  # fmt: skip
"""The codes that OpenGnsys knows: chassis, kind of boot, mainboard, BIOS, processor, memory, display, disk, network,
audio, multimedia, model of the computer, optical drive, IDE, FireWire, USB, serial bus, storage.
"""


class Component(Struct, frozen=True, kw_only=True):
    """``size`` in bytes. ``count``: of a processor its threads, otherwise how many of the same there are. ``place`` is
    the slot of a memory module, ``speed`` its transfers in millions a second.
    """

    code: HardwareCode
    name: str
    vendor: str = ""
    version: str = ""
    size: int | None = None
    count: int = 1
    place: str = ""
    speed: int | None = None


class Hardware(Struct, frozen=True, kw_only=True):
    """Chassis (``cha``) and kind of boot (``boo``) come first."""

    components: tuple[Component, ...]


def hardware_text(hardware: Hardware) -> str:
    """As OpenGnsys has it (``hrd``): a line ``code=text`` a component."""
    return "\n".join(f"{component.code}={_text(component)}" for component in hardware.components)


def _text(component: Component) -> str:
    parts = (
        component.vendor,
        component.name,
        "" if component.size is None else format_bytes(component.size),
        "" if component.speed is None else f"{component.speed} MT/s",
        component.version and f"v.{component.version}",
        component.place and f"({component.place})",
        f"x{component.count}" if component.count > 1 else "",
    )
    return " ".join(filter(None, parts))
