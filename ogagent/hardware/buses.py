"""What hangs on PCI and on USB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ogagent.hardware.ids import Ids, names
from ogagent.hardware.sysfs import directories, line, number
from ogagent.model.hardware import Component, HardwareCode

_PCI: Final = "sys/bus/pci/devices"
_USB: Final = "sys/bus/usb/devices"
_HUB: Final = 0x09  # of USB's classes: usb.org, Defined Class Codes

_BY_CLASS: Final[dict[int, HardwareCode]] = {
    0x0101: "ide",
    0x0401: "aud",
    0x0403: "aud",
    0x0C00: "fir",
    0x0C03: "usb",
}
_BY_BASE_CLASS: Final[dict[int, HardwareCode]] = {
    0x01: "sto",
    0x02: "net",
    0x03: "vga",
    0x04: "mul",
    0x0C: "bus",
    0x0D: "net",  # without wires
}
"""PCI Code and ID Assignment Specification. Bridges and the like, which every machine is full of, have no code."""


def pci(root: Path) -> Iterator[Component]:
    found = [(code, device) for device in directories(root / _PCI) if (code := _code(number(device / "class", 16)))]
    named = names(root, "pci.ids", {_ids(device, "vendor", "device") for _, device in found})
    for code, device in found:
        vendor, name = named[_ids(device, "vendor", "device")]
        yield Component(code=code, vendor=vendor, name=name)


def _code(pci_class: int | None) -> HardwareCode | None:
    """The class has three bytes: base class, subclass, programming interface."""
    if pci_class is None:
        return None
    return _BY_CLASS.get(pci_class >> 8) or _BY_BASE_CLASS.get(pci_class >> 16)


def usb(root: Path) -> Iterator[Component]:
    """Devices by their own names where they tell any, without hubs, and without the interfaces that a device has."""
    found = [device for device in directories(root / _USB) if _is_device(device)]
    named = names(root, "usb.ids", {_ids(device, "idVendor", "idProduct") for device in found})
    for device in found:
        vendor, name = named[_ids(device, "idVendor", "idProduct")]
        yield Component(
            code="usb", vendor=line(device / "manufacturer") or vendor, name=line(device / "product") or name
        )


def _is_device(device: Path) -> bool:
    kind = number(device / "bDeviceClass", 16)
    return kind is not None and kind != _HUB


def _ids(device: Path, vendor: str, product: str) -> Ids:
    return _hex(device / vendor), _hex(device / product)


def _hex(path: Path) -> str:
    return f"{number(path, 16) or 0:04x}"
