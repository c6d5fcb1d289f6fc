"""``Configurar``: a partition table and file systems on a disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ogagent import errors
from ogagent.disk.lookup import check_identity, find_disk
from ogagent.disk.machine import Machine
from ogagent.disk.record import record_of
from ogagent.disk.sleepers import discard_images, hibernated_beside, warn_of_windows, warnings_of
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.jobs.entry import Unended
from ogagent.jobs.recovery import SETTLE_S
from ogagent.jobs.work import Claims, claims_on
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, JobTarget, Phase
from ogagent.model.kind import Kind
from ogagent.model.members import Form
from ogagent.model.progress import Books, JobProgress
from ogagent.partition.change import TableChange
from ogagent.partition.formats import require_tools
from ogagent.partition.layout import plan_table
from ogagent.partition.machine import TableMachine
from ogagent.partition.plan import Firmware, TablePlan
from ogagent.partition.request import CONFIGURE_SCHEMA, FUNCTION, configure_request
from ogagent.partition.work import configure, settle
from ogagent.system.aside import aside
from ogagent.system.patience import in_thread


def _title(job: Job) -> str:
    return f"the partitioning of disk {job.target.disk if job.target else job.request.get('dsk', '')}"


KIND: Final = Kind(
    name=FUNCTION, response=f"RESPUESTA_{FUNCTION}", echoed=("dsk",), disks=True, lasts=True, title=_title
)


class Configurar(Function):
    kind: ClassVar[Kind] = KIND
    summary: ClassVar[str] = "Make a partition table and file systems; what a row means is kept with its content"
    schema: ClassVar[Form] = CONFIGURE_SCHEMA
    refusals: ClassVar[Refusals] = (
        *(errors.DiskNotFound, errors.DiskNotPartitioned, errors.DiskBusy, errors.DiskRenumbered, errors.MachineBusy),
        *(errors.PartitionInUse, errors.PartitionOverlaps, errors.TargetIsSystem),
        *(errors.TableDoesNotFit, errors.FilesystemNotSupported, errors.Stopping),
    )
    foreseen: ClassVar[Refusals] = (errors.DiskChanged,)
    preview: ClassVar[type] = TablePlan

    def __init__(
        self,
        machine: Machine,
        tables: TableMachine,
        firmware: Firmware,
        *,
        reports: bool,
        settle_s: float = SETTLE_S,
    ) -> None:
        """``reports``: ogCore waits to hear how a job ended. ``settle_s``: so long a disk may take to tell what a dead
        agent has left on it.
        """
        self._machine = machine
        self._tables = tables
        self._firmware = firmware
        self._reports = reports
        self._settle_s = settle_s

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        machine, reports = equipment.machine, bool(equipment.settings.ogcore.url)
        return cls(machine, equipment.tables, equipment.firmware, reports=reports)

    def order(self, members: Mapping[str, Any]) -> _Order:
        return _Order(members, self._firmware, self._work)

    def _work(self, plan: TablePlan, request: Mapping[str, str]) -> _Work:
        return _Work(self._machine, self._tables, plan, request, reports=self._reports)

    async def settled(self, left: Unended, books: Books) -> bool:  # noqa: ARG002 - nothing follows its commit
        """The table is the old or the new one afterwards, and what was being formatted is empty."""
        note = msgspec.json.decode(left.note or b"", type=_Note)
        work = partial(settle, self._tables, note.plan, note.change, note.formatting or 0)
        found = await aside(self._settle_s, work)
        return found == "new" and note.formatting == 0


class _Note(Struct, frozen=True):
    """For an agent that starts after this one's death. ``formatting`` is the partition whose turn it is; None before
    the first, 0 when all are done.
    """

    plan: TablePlan
    change: TableChange
    formatting: int | None = None


class _Order:
    looks: Final = True

    def __init__(
        self,
        members: Mapping[str, Any],
        firmware: Firmware,
        work: Callable[[TablePlan, Mapping[str, str]], _Work],
    ) -> None:
        self._wanted = configure_request(members)
        self._cfg = members["cfg"] if isinstance(members["cfg"], str) else json.dumps(members["cfg"])
        self._firmware = firmware
        self._work = work

    def claims(self, inventory: Inventory) -> Claims:
        return claims_on(self._wanted.dsk, self._wanted.identity, inventory)

    def plan(self, inventory: Inventory) -> _Work:
        plan = plan_table(self._wanted, find_disk(self._wanted.dsk, inventory), self._firmware)
        require_tools(part.filesystem for part in plan.partitions)
        if plan.lost:
            suspended, sleeping = hibernated_beside(plan.lost, inventory)
            plan = replace(plan, suspended=suspended, sleeping=sleeping)
        plan = replace(plan, warnings=warnings_of(plan))
        wanted = self._wanted
        named = {"dsk": str(wanted.dsk), "identity": wanted.identity}
        request = {"nfn": FUNCTION, **named, "cfg": self._cfg, "ids": wanted.ids}
        return self._work(plan, request)


@dataclass
class _Progress(JobProgress):
    phases: ClassVar[tuple[Phase, ...]] = (Phase.CHECKING, Phase.PARTITIONING, Phase.FORMATTING)

    to_format: int = 0
    formatted: int = 0

    def share(self) -> float:
        match self.phase:
            case Phase.PARTITIONING:
                return 10.0
            case Phase.FORMATTING:
                return 20.0 + 79.0 * self.formatted / max(self.to_format, 1)
            case _:
                return 0.0


class _Work:
    """Implements ``ogagent.jobs.work.Work``, and ``ogagent.partition.work.Books``."""

    kind: Final = KIND
    overwrites: Final = None
    afterwards: Final = None

    def __init__(
        self,
        machine: Machine,
        tables: TableMachine,
        plan: TablePlan,
        request: Mapping[str, str],
        *,
        reports: bool,
    ) -> None:
        self.progress = _Progress(to_format=sum(bool(part.filesystem) for part in plan.emptied))
        self.request = request
        self._machine = machine
        self._tables = tables
        self._plan = plan
        self._reports = reports
        self._note: _Note | None = None

    @property
    def claims(self) -> Claims:
        return Claims(disks={self._plan.identity: self._plan.disk})

    @property
    def target(self) -> JobTarget:
        plan = self._plan
        return JobTarget(disk=plan.disk, partition=None, device=plan.device, identity=plan.identity)

    async def preview(self) -> TablePlan:
        self._check()
        return self._plan

    def _check(self) -> None:
        check_identity(self.request["identity"], self._plan.disk, self._plan.identity)

    async def run(self) -> None:
        self.progress.enter(Phase.CHECKING)
        try:
            self._check()
            warn_of_windows(self._plan, self.progress)
            await configure(self._tables, self._plan, self, self._record())
            await in_thread(self.progress.commit)
        finally:
            self.progress.enter(None)

    def _record(self) -> bytes:
        """Of a job of which nobody waits to hear the disk says nothing."""
        plan, progress = self._plan, self.progress
        if not self._reports:
            return b""
        return record_of(plan.identity, plan.size, self.request, job_id=progress.job_id, started=progress.created)

    def answer(self) -> Mapping[str, str]:
        return {}

    async def writing(self, change: TableChange) -> None:
        self._note = _Note(self._plan, change)
        self.progress.enter(Phase.PARTITIONING)
        await in_thread(self._begin, self._note)

    def _begin(self, note: _Note) -> None:
        """Whoever sleeps loses nothing unless the disk changes."""
        discard_images(self._plan, self._machine, self.progress)
        self.progress.change_begins()
        self.progress.books.committing(msgspec.json.encode(note))

    async def formatting(self, number: int) -> None:
        if self._note is None:
            raise AssertionError("a table is written before its partitions are formatted")
        if self.progress.phase is Phase.FORMATTING:
            self.progress.formatted += 1
        elif number:
            self.progress.enter(Phase.FORMATTING)
        note = msgspec.json.encode(replace(self._note, formatting=number))
        await in_thread(self.progress.books.noting, note)
