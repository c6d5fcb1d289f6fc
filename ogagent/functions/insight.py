"""What can be seen of a machine beside its disks."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ogagent.disk.real import compare
from ogagent.hardware.inventory import read_hardware
from ogagent.model.hardware import Hardware
from ogagent.model.plan import Target
from ogagent.model.software import Software
from ogagent.software.inventory import software_here, software_on
from ogagent.system.patience import in_thread


class HardwareInsight(Protocol):
    async def hardware(self) -> Hardware: ...


class Insight(HardwareInsight, Protocol):
    async def software(self, target: Target, filesystem: str) -> Software:
        """What is installed on the partition, which stays as it is. ``filesystem`` as libblkid names it.

        Raises DiskChanged, DeviceBusy, FilesystemNotSupported, PartitionNotReadable, ToolMissing, ToolFailed.
        """


class InnerInsight(HardwareInsight, Protocol):
    async def software_here(self) -> Software:
        """What the running system holds. Raises PartitionNotReadable, ToolMissing, ToolFailed."""


class RealInnerInsight:
    """Implements ``InnerInsight``."""

    async def hardware(self) -> Hardware:
        return await in_thread(read_hardware)

    async def software_here(self) -> Software:
        return await software_here()


class RealInsight:
    def __init__(self, folder: Path) -> None:
        """``folder`` is a directory of the agent's own."""
        self._folder = folder

    async def hardware(self) -> Hardware:
        return await in_thread(read_hardware)

    async def software(self, target: Target, filesystem: str) -> Software:
        return await software_on(target.device, filesystem, self._folder, lambda fd: compare(fd, 0, target))
