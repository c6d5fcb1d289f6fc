"""What this machine is made of, as kernel and firmware tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ogagent.hardware.buses import pci, usb
from ogagent.hardware.dmi import chassis, machine, memory_modules
from ogagent.hardware.drives import drives
from ogagent.hardware.sysfs import content
from ogagent.model.hardware import Component, Hardware
from ogagent.model.units import KIB
from ogagent.system.text import printable

_LARGEST: Final = 4 << 20  # a processor with 256 threads takes some 400 KiB
_MOST_COMPONENTS: Final = 512
_EFI: Final = "sys/firmware/efi"


def read_hardware(root: Path = Path("/")) -> Hardware:
    """Below ``root`` lie ``sys`` and ``proc``, and the names of what hangs on PCI and USB. What cannot be read is left
    out. Blocking.
    """
    found = (*machine(root), *_processors(root), *_memory(root), *_devices(root))
    return Hardware(components=(chassis(root), _boot(root), *found[:_MOST_COMPONENTS]))


def _boot(root: Path) -> Component:
    return Component(code="boo", name="UEFI" if (root / _EFI).is_dir() else "BIOS")


def _devices(root: Path) -> Iterator[Component]:
    yield from pci(root)
    yield from usb(root)
    yield from drives(root)


def _processors(root: Path) -> Iterator[Component]:
    """Each kind once, with its threads."""
    lines = content(root / "proc/cpuinfo", _LARGEST).decode("utf-8", "replace").splitlines()
    fields = (line.partition(":") for line in lines)
    found = Counter(printable(value) for name, _, value in fields if name.strip() == "model name")
    yield from (Component(code="cpu", name=name, count=count) for name, count in found.items() if name)


def _memory(root: Path) -> list[Component]:
    """The modules, or what the kernel has of them."""
    return memory_modules(root) or list(_total(root))


def _total(root: Path) -> Iterator[Component]:
    for line in content(root / "proc/meminfo", _LARGEST).decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] == ["MemTotal:"] and len(words) == 3 and words[1].isdecimal():
            yield Component(code="mem", name="", size=int(words[1]) * KIB)
