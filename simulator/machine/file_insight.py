"""What a PC whose disks are files is made of, and what is installed on it. Only ext file systems are looked into."""

from __future__ import annotations

from typing import Final

from ogagent.disk.machine import Machine
from ogagent.disk.operating_system import operating_system
from ogagent.errors import FilesystemNotSupported
from ogagent.model.filesystem import EXTFS, by_blkid
from ogagent.model.hardware import Component, Hardware
from ogagent.model.plan import Target
from ogagent.model.software import Software
from ogagent.software.dpkg import parse_status
from ogagent.system import process

_STATUS: Final = "/var/lib/dpkg/status"
_LARGEST: Final = 32 << 20
_TIMEOUT_S: Final = 20
_PARTS: Final = (
    Component(code="cha", name="Desktop"),
    Component(code="boo", name="UEFI"),
    Component(code="mod", name="Classroom PC that is files", vendor="ogsim"),
    Component(code="cpu", name="Processor of the machine that runs the lab", count=2),
    Component(code="mem", name="DDR4", size=8 << 30, place="DIMM 1", speed=3200),
    Component(code="vga", name="Screen that nobody sees"),
    Component(code="net", name="Cable that can be pulled"),
)


class FileInsight:
    """Implements ``ogagent.functions.insight.Insight``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def hardware(self) -> Hardware:
        inventory = await self._machine.inventory(thorough=False)
        disks = (Component(code="dis", name=disk.model, size=disk.size) for disk in inventory.disks)
        return Hardware(components=(*_PARTS, *disks))

    async def software(self, target: Target, filesystem: str) -> Software:
        known = by_blkid(filesystem)
        if known is None or known.partclone != EXTFS:
            raise FilesystemNotSupported(f"{target.device} holds {filesystem}, and is only a file", field="par")
        name = await operating_system(target.disk_device, target.start, filesystem)
        place = f"{target.disk_device}?offset={target.start}"
        command = ["debugfs", "-c", "-R", f"cat {_STATUS}", place]
        status = await process.run(command, timeout_s=_TIMEOUT_S, max_output=_LARGEST)
        packages = tuple(sorted(set(parse_status(status))))
        return Software(system=name, packages=packages, notes=() if name else ("no system was found",))
