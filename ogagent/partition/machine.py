"""What making a table needs of a machine.

``ogagent.partition.real`` is the machine the agent runs on; a twin whose disks are files implements the same protocol.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from ogagent.disk.machine import Device
from ogagent.model.disk import TableKind
from ogagent.partition.plan import PlannedPartition, TablePlan


class TableMachine(Protocol):
    def hold(self, plan: TablePlan) -> AbstractContextManager[None]:
        """Keeps udev from looking at the disk, and from reading its table anew, as long as the block lasts. Blocking.

        Raises DeviceBusy when somebody else keeps it, DiskChanged when the disk is another one.
        """

    def open_disk(self, plan: TablePlan, tables: Collection[TableKind | None]) -> AbstractContextManager[Device]:
        """The whole disk, exclusively; where something that is kept is in use, all that goes. Blocking.

        Raises DiskChanged when it is another disk or has a table of none of these kinds, DeviceBusy when something is
        in use, TargetIsSystem when it, or a place on it that goes or begins anew, is protected.
        """

    def tell_kernel(self, plan: TablePlan) -> None:
        """The kernel has the partitions of the plan afterwards, and nodes for them. Blocking.

        Raises DeviceBusy when it keeps an older one for too long, PartitioningFailed.
        """

    async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
        """Raises PartitioningFailed, DeviceBusy."""
