"""``CrearImagen``: a partition of the model becomes an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Self

import msgspec
from msgspec.structs import replace

from ogagent import errors
from ogagent.capture.job import Made, Making, capture
from ogagent.capture.machine import ModelMachine
from ogagent.capture.plan import PlanRules, plan_capture
from ogagent.capture.preview import CapturePreview, preview
from ogagent.capture.progress import CaptureProgress
from ogagent.capture.recovery import Note, settle
from ogagent.capture.request import CAPTURE_SCHEMA, FUNCTION, CapturePlan, CaptureRequest, capture_request
from ogagent.capture.store import StorePolicy
from ogagent.disk.machine import Machine
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.image.workers import cores
from ogagent.jobs.entry import Unended
from ogagent.jobs.work import Claims, claims_on
from ogagent.model.disk import Inventory
from ogagent.model.filesystem import by_blkid
from ogagent.model.job import Job, JobTarget
from ogagent.model.kind import Kind
from ogagent.model.progress import Books
from ogagent.settings import Settings
from ogagent.settings_urls import directory_of
from ogagent.source.source import SourcePolicy


def _title(job: Job) -> str:
    where = f"partition {job.target.partition} of disk {job.target.disk}" if job.target else "a partition"
    return f"the capture of {where} as {job.request.get('nci', '')}"


KIND: Final = Kind(
    name=FUNCTION,
    response=f"RESPUESTA_{FUNCTION}",
    echoed=("idi", "dsk", "par", "cpt", "ipr"),
    disks=True,
    lasts=True,
    title=_title,
)


class CrearImagen(Function):
    kind: ClassVar[Kind] = KIND
    summary: ClassVar[str] = "Make an image of a partition, which stays as it is; the job goes on in the background"
    schema: ClassVar[Mapping[str, Any]] = CAPTURE_SCHEMA
    refusals: ClassVar[Refusals] = (
        *(errors.DiskNotFound, errors.PartitionNotFound, errors.DiskNotPartitioned),
        *(errors.DiskBusy, errors.DiskRenumbered, errors.MachineBusy, errors.PartitionInUse, errors.PartitionOverlaps),
        *(errors.TargetIsCache, errors.TargetIsSystem, errors.ModelNotClean, errors.FilesystemNotSupported),
        *(errors.RepositoryNotAllowed, errors.Stopping),
    )
    foreseen: ClassVar[Refusals] = (
        *(errors.RepositoryUnreachable, errors.RepositoryFull, errors.ImageLocked, errors.DiskChanged),
        errors.ModelNotRead,
    )
    preview: ClassVar[type] = CapturePreview

    def __init__(self, machine: Machine, models: ModelMachine, making: Making, rules: PlanRules) -> None:
        self._machine = machine
        self._models = models
        self._making = making
        self._rules = rules

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        settings = equipment.settings
        making = making_of(settings, equipment.policy, equipment.volatile)
        return cls(equipment.machine, equipment.models, making, rules_of(settings))

    def order(self, members: Mapping[str, Any]) -> _Order:
        return _Order(capture_request(members), self._rules, self._work)

    def _work(self, plan: CapturePlan) -> _Work:
        return _Work(plan, self._machine, self._models, self._making)

    async def settled(self, left: Unended, books: Books) -> bool:  # noqa: ARG002 - nothing follows its commit
        """The image has its name if it was proven before; nothing else is left of it, and the model is as it was."""
        note = msgspec.json.decode(left.note or b"", type=Note)
        return await settle(note, self._models, self._making.store)


def rules_of(settings: Settings) -> PlanRules:
    return PlanRules(
        url=settings.capture.url or settings.repository.url,
        networks=settings.repository.networks,
        reduce=settings.capture.reduce,
    )


def making_of(settings: Settings, policy: SourcePolicy, volatile: str = "") -> Making:
    wanted = settings.capture
    source = replace(policy, files_within=directory_of(wanted.url or settings.repository.url))
    return Making(
        store=StorePolicy(source=source, token_file=wanted.credential_file, volatile=volatile),
        level=wanted.level,
        threads=cores(),
        folder=settings.state.place,
        verify=wanted.verify,
        keep_previous=wanted.keep_previous,
    )


class _Order:
    looks: Final = True

    def __init__(self, request: CaptureRequest, rules: PlanRules, work: Callable[[CapturePlan], _Work]) -> None:
        self._request = request
        self._rules = rules
        self._work = work

    def claims(self, inventory: Inventory) -> Claims:
        return claims_on(self._request.dsk, self._request.identity, inventory)

    def plan(self, inventory: Inventory) -> _Work:
        return self._work(plan_capture(self._request, inventory, self._rules))


class _Work:
    """Implements ``ogagent.jobs.work.Work``."""

    kind: Final = KIND
    overwrites: Final = None
    afterwards: Final = None

    def __init__(self, plan: CapturePlan, machine: Machine, models: ModelMachine, making: Making) -> None:
        self.progress = CaptureProgress(verify_wanted=making.verify)
        self._plan = plan
        self._machine = machine
        self._models = models
        self._making = making
        self._made: Made | None = None

    @property
    def claims(self) -> Claims:
        return Claims(disks={self._plan.target.identity: self._plan.target.disk})

    @property
    def request(self) -> Mapping[str, str]:
        return self._plan.request.echo()

    @property
    def target(self) -> JobTarget:
        return self._plan.target.named

    async def preview(self) -> CapturePreview:
        return await preview(self._plan, self._machine, self._models, self._making.store)

    async def run(self) -> None:
        self._made = await capture(self._plan, self._machine, self._models, self._making, self.progress)

    def answer(self) -> Mapping[str, Any]:
        made = self._made
        if made is None:
            return {}
        known = by_blkid(made.filesystem)
        name = known.name if known else made.filesystem.upper()
        return {"image": {"size": made.size, "used": made.used, "filesystem": name, "digest": made.digest}}
