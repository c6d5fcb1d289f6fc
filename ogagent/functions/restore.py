"""``RestaurarImagen``: an image onto a partition."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Self

from msgspec.structs import replace

from ogagent import errors
from ogagent.crowd.real import RealCrowding, missing_engines
from ogagent.disk.machine import Machine
from ogagent.disk.record import record_of
from ogagent.functions.finishing import Finishing
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.jobs.entry import Unended
from ogagent.jobs.recovery import SETTLE_S
from ogagent.jobs.steps import Step
from ogagent.jobs.work import Claims, claims_on
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, JobTarget
from ogagent.model.kind import Kind
from ogagent.model.plan import Preview, Target
from ogagent.model.progress import Books
from ogagent.restore.edges import Edges
from ogagent.restore.job import restore
from ogagent.restore.plan import Rules, plan_restore
from ogagent.restore.preview import Previewer
from ogagent.restore.progress import Progress
from ogagent.restore.request import FUNCTION, RESTORE_SCHEMA, RestorePlan, RestoreRequest, restore_request
from ogagent.settings import Settings
from ogagent.system.aside import aside
from ogagent.system.patience import in_thread

_log: Final = logging.getLogger(__name__)

Engine = Callable[[RestorePlan, Progress], Coroutine[Any, Any, None]]
"""Returns when the disk holds the image; raises AgentError when it does not."""

Promise = Callable[[str, str, int], None]
"""An image, the repository that knows who wants it, and for how many seconds others shall have it."""


def _nobody(image: str, repository: str, seconds: int) -> None: ...


def _title(job: Job) -> str:
    image = job.request.get("nci", "")
    where = f"partition {job.target.partition} of disk {job.target.disk}" if job.target else "a partition"
    return f"the restore of {image} onto {where}" if image else f"the restore of {where}"


KIND: Final = Kind(
    name=FUNCTION,
    response=f"RESPUESTA_{FUNCTION}",
    echoed=("idi", "dsk", "par", "ifs"),
    disks=True,
    title=_title,
)


class RestaurarImagen(Function):
    kind: ClassVar[Kind] = KIND
    summary: ClassVar[str] = "Restore an image onto a partition; the job goes on in the background"
    schema: ClassVar[Mapping[str, Any]] = RESTORE_SCHEMA
    refusals: ClassVar[Refusals] = (
        *(errors.DiskNotFound, errors.PartitionNotFound, errors.DiskBusy, errors.DiskRenumbered),
        *(errors.MachineBusy, errors.PartitionInUse),
        *(errors.PartitionOverlaps, errors.TargetIsCache, errors.TargetIsSystem),
        *(errors.DiskNotPartitioned, errors.TooFewPartitions),
        *(errors.CacheMissing, errors.MethodNotSupported, errors.RepositoryNotAllowed, errors.Stopping),
    )
    foreseen: ClassVar[Refusals] = (
        *(errors.RepositoryUnreachable, errors.ImageNotFound, errors.ImageLocked, errors.ImageChanged),
        *(errors.UnknownImage, errors.ImageCorrupt, errors.ImageTooLarge, errors.FilesystemMismatch),
        *(errors.SignatureRefused, errors.DiskChanged),
    )
    preview: ClassVar[type] = Preview

    def __init__(
        self,
        machine: Machine,
        rules: Rules,
        engine: Engine,
        previewer: Previewer,
        finishing: Finishing | None = None,
        *,
        read_back: bool = True,
        promise: Promise = _nobody,
        settle_s: float = SETTLE_S,
    ) -> None:
        """Without ``finishing`` a job is done when the disk holds the image. ``promise`` hears what others shall have
        after that. ``settle_s``: so long a disk may take to tell what a dead agent has left on it.
        """
        self._machine = machine
        self._rules = rules
        self._engine = engine
        self._previewer = previewer
        self._finishing = finishing
        self._read_back = read_back
        self._promise = promise
        self._settle_s = settle_s

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        machine, policy, caching = equipment.machine, equipment.policy, equipment.caching
        settings = equipment.settings
        crowding = RealCrowding(settings.crowd, settings.repository.networks, settings.server.address)

        async def engine(plan: RestorePlan, progress: Progress) -> None:
            await restore(plan, machine, policy, progress, caching, crowding)

        wanted = settings.finish.wanted
        finishing = Finishing(machine, equipment.finisher, settings.finish, settings.ogcore) if wanted else None
        previewer = Previewer(policy)
        promise = equipment.seeding.promise if equipment.seeding else _nobody
        read_back = settings.restore.read_back
        return cls(machine, rules_of(settings), engine, previewer, finishing, read_back=read_back, promise=promise)

    def order(self, members: Mapping[str, Any]) -> _Order:
        return self.order_of(restore_request(members))

    def order_of(self, request: RestoreRequest) -> _Order:
        return _Order(request, self._rules, self._work)

    def _work(self, plan: RestorePlan) -> _Work:
        progress = Progress(read_back_wanted=self._read_back, finish_wanted=self._finishing is not None)
        return _Work(plan, self._engine, self._previewer, progress, self._finishing, self._promise)

    async def settled(self, left: Unended, books: Books) -> bool:
        """Whoever comes later goes on with what makes the partition ready."""
        if left.step is Step.COMMITTING:
            if not await aside(self._settle_s, partial(self._settled, left)):
                return False
            if self._finishing is not None:
                await in_thread(books.finishing, b"")
        if self._finishing is None or left.target is None:
            return left.target is not None
        progress = Progress(job_id=left.job.job_id, books=books)
        note = left.note if left.step is Step.FINISHING else None
        await self._finishing.make_ready(left.target, left.job.request, progress, note or b"")
        return True

    def _settled(self, left: Unended) -> bool:
        """All but the edges was proven on the medium, and the note says what those will be. When the medium has all of
        them it holds the image. When it has some they are wiped, so that it mounts nowhere. Any other content is
        somebody else's and left alone.
        """
        job, target = left.job, left.target
        if target is None or left.note is None:
            return False
        record = record_of(target.identity, target.size, job.request, job_id=job.job_id, started=job.created)
        with self._machine.open_target(target) as device:
            device.flush()
            return Edges(device, record).settle(left.note)


def rules_of(settings: Settings) -> Rules:
    return Rules(
        repository_url=settings.repository.url,
        repository_networks=settings.repository.networks,
        cache_required=settings.cache.required,
        crowd=settings.crowd.enabled,
        missing=missing_engines(),
    )


class _Order:
    looks: Final = True

    def __init__(self, request: RestoreRequest, rules: Rules, work: Callable[[RestorePlan], _Work]) -> None:
        self._request = request
        self._rules = rules
        self._work = work

    def claims(self, inventory: Inventory) -> Claims:
        return claims_on(self._request.dsk, self._request.identity, inventory)

    def plan(self, inventory: Inventory) -> _Work:
        return self._work(plan_restore(self._request, inventory, self._rules))


class _Work:
    """Implements ``ogagent.jobs.work.Work``."""

    kind: Final = KIND
    afterwards: Final = None

    def __init__(
        self,
        plan: RestorePlan,
        engine: Engine,
        previewer: Previewer,
        progress: Progress,
        finishing: Finishing | None,
        promise: Promise,
    ) -> None:
        self.progress = progress
        self._promise = promise
        self._finishing = finishing
        self._plan = plan
        self._engine = engine
        self._previewer = previewer

    @property
    def claims(self) -> Claims:
        return Claims(disks={self._plan.target.identity: self._plan.target.disk})

    @property
    def request(self) -> Mapping[str, str]:
        return self._plan.request.echo()

    @property
    def target(self) -> JobTarget:
        return self._plan.target.named

    @property
    def overwrites(self) -> Target:
        return self._plan.target

    async def preview(self) -> Preview:
        found = await self._previewer.preview(self._plan)
        if self._finishing is None:
            return found
        return replace(found, finish=await self._finishing.outlook(self._plan.target, found.image))

    async def run(self) -> None:
        try:
            await self._engine(self._plan, self.progress)
        except Exception:
            if not self.progress.holds_image:
                raise
            _log.exception("after the disk held the image")
        if self._finishing is not None:
            await self._finishing.make_ready(self._plan.target, self._plan.request.echo(), self.progress)
            await in_thread(self.progress.commit)
        if self._plan.session is not None:
            self._promise(self._plan.request.nci, self._plan.request.ipr, self._plan.session.seconds)

    def answer(self) -> Mapping[str, str]:
        return {}
