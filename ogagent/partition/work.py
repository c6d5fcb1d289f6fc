"""The work itself, from the plan to the last file system; and what an agent that died in the middle of it has left."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from ogagent.disk.machine import Device
from ogagent.errors import AgentError
from ogagent.partition.change import Settled, TableChange
from ogagent.partition.formats import require_tools
from ogagent.partition.machine import TableMachine
from ogagent.partition.plan import PlannedPartition, TablePlan
from ogagent.partition.writer import empty, prepare, write
from ogagent.system.patience import in_thread

_log: Final = logging.getLogger(__name__)


class Books(Protocol):
    """What must be known after a crash. Returns when it is written down."""

    async def writing(self, change: TableChange) -> None:
        """The first byte is about to be written."""

    async def formatting(self, number: int) -> None:
        """This partition is about to be formatted, and those before it are done; 0: all are."""


async def configure(machine: TableMachine, plan: TablePlan, books: Books, record: bytes = b"") -> None:
    """Raises DiskChanged, DeviceBusy, TargetIsSystem, WriteFailed, ReadBackDiffers, PartitioningFailed,
    FilesystemNotSupported.

    ``record`` stands on the disk from the first change on, until somebody takes it away who has told of the job.
    A cancel is passed on when the table is the old or the new one, and what was being formatted is empty.
    """
    require_tools(part.filesystem for part in plan.partitions)
    async with _held(machine, plan):
        change = await in_thread(_prepared, machine, plan)
        await books.writing(change)
        await in_thread(_written, machine, plan, change, record)
        for part in plan.emptied:
            if part.filesystem:
                await books.formatting(part.number)
                await _formatted(machine, plan, part)
        await books.formatting(0)


def settle(machine: TableMachine, plan: TablePlan, change: TableChange, formatting: int) -> Settled:
    """After a crash, with what the books say: the table is completed or as it was, and a partition that was being
    formatted is empty. Blocking. Raises what ``configure`` does.
    """
    with machine.hold(plan):
        with machine.open_disk(plan, (plan.was, plan.table)) as device:
            found = change.settle(device)
            if found == "new" and formatting:
                empty(device, plan, formatting)
        if found == "new":
            machine.tell_kernel(plan)
    return found


@asynccontextmanager
async def _held(machine: TableMachine, plan: TablePlan) -> AsyncIterator[None]:
    held = machine.hold(plan)
    await in_thread(held.__enter__)
    try:
        yield
    finally:
        await in_thread(held.__exit__, None, None, None)


def _prepared(machine: TableMachine, plan: TablePlan) -> TableChange:
    with machine.open_disk(plan, (plan.was,)) as device:
        return prepare(device, plan)


def _written(machine: TableMachine, plan: TablePlan, change: TableChange, record: bytes) -> None:
    with machine.open_disk(plan, (plan.was,)) as device:
        try:
            write(device, plan, change, record)
        except AgentError:
            _log.error("%s could not be written; it has the %s table", plan.device, _undone(device, change))
            raise
    machine.tell_kernel(plan)


def _undone(device: Device, change: TableChange) -> str:
    try:
        return change.settle(device)
    except AgentError as error:
        return f"old or the new ({error.message})"


async def _formatted(machine: TableMachine, plan: TablePlan, part: PlannedPartition) -> None:
    try:
        await machine.make_filesystem(plan, part)
    except BaseException:
        try:
            await in_thread(_emptied, machine, plan, part.number)
        except AgentError as error:
            _log.error("partition %d of %s may be half formatted: %s", part.number, plan.device, error.message)
        raise


def _emptied(machine: TableMachine, plan: TablePlan, number: int) -> None:
    with machine.open_disk(plan, (plan.table,)) as device:
        empty(device, plan, number)
