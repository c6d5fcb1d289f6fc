"""One capture from its first check to the image's name. It knows no HTTP and no ogCore; it returns or raises."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from ogagent.capture import delivery as deliveries
from ogagent.capture.delivery import Delivery, Sidecars, Sums
from ogagent.capture.look import Looked, expect_unchanged, held, look, origin_of
from ogagent.capture.machine import ModelMachine
from ogagent.capture.making import Origin, deliver
from ogagent.capture.progress import CaptureProgress
from ogagent.capture.proof import prove_image
from ogagent.capture.recovery import Note, grow_back, prover
from ogagent.capture.request import CapturePlan
from ogagent.capture.store import Store, StorePolicy, open_store
from ogagent.disk.lookup import check_identity
from ogagent.disk.machine import Device, Machine
from ogagent.errors import AgentError, CannotReduce, ModelNotGrownBack, RepositoryFull, ToolMissing
from ogagent.image import index as image_index
from ogagent.image import signature
from ogagent.image.index import ImageIndex
from ogagent.model.job import Phase
from ogagent.model.units import KIB, format_bytes
from ogagent.resize import reduce as reductions
from ogagent.resize.reduce import Reduction
from ogagent.system.patience import cancellable_until, in_thread, wait_out
from ogagent.system.text import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_log: Final = logging.getLogger(__name__)
_CANCELLED_S: Final = 1.5
"""Of the two seconds of a cancel."""
_FAILED_S: Final = 30.0


class Making(Struct, frozen=True, kw_only=True):
    """How images are made. ``level`` is that of zstd; ``folder``, on another partition, is for what shrinking may have
    to undo; without a ``key`` nobody vouches for the image. ``cancelled_s`` is how long the repository has to
    remove what is there when the job is cancelled.
    """

    store: StorePolicy
    level: int
    threads: int
    folder: Path
    verify: bool = True
    keep_previous: bool = True
    key: Ed25519PrivateKey | None = None
    cancelled_s: float = _CANCELLED_S


class Made(Struct, frozen=True):
    """What is told of an image: bytes of its file, bytes of the partition that are in use, and BLAKE3 in hex."""

    size: int
    used: int
    filesystem: str
    digest: str


async def capture(
    plan: CapturePlan, machine: Machine, models: ModelMachine, making: Making, progress: CaptureProgress
) -> Made:
    """Returns when the image has its name. Raises AgentError.

    Whatever it raises, and when it is cancelled: the name stands for what it stood for before, and the partition is as
    it was. A cancel that comes when the image has its name changes nothing.
    """
    named = asyncio.Event()

    async def run() -> Made:
        try:
            progress.enter(Phase.CHECKING)
            check_identity(plan.request.identity, plan.target.disk, plan.target.identity)
            async with open_store(plan.destination, making.store) as (store, name):
                return await _Capture(plan, machine, models, making, progress, store, name, named).run()
        finally:
            progress.enter(None)

    return await cancellable_until(named, run())


async def expect_room(store: Store, used: int | None) -> int | None:
    """How many bytes the repository takes; None when it does not say. Raises RepositoryFull."""
    room = await store.room()
    if room is not None and used is not None and room < used:
        raise RepositoryFull(
            f"the repository has room for {format_bytes(room)}, the partition holds {format_bytes(used)}",
            hint="make room there, and ask again",
        )
    return room


class _Capture:
    def __init__(
        self,
        plan: CapturePlan,
        machine: Machine,
        models: ModelMachine,
        making: Making,
        progress: CaptureProgress,
        store: Store,
        name: str,
        named: asyncio.Event,
    ) -> None:
        self._plan = plan
        self._machine = machine
        self._models = models
        self._making = making
        self._progress = progress
        self._store = store
        self._delivery = Delivery(name=name, job_id=progress.job_id)
        self._reduction: Reduction | None = None
        self._named = named

    async def run(self) -> Made:
        """The order of these lines is what the promises about the name, and about the model, stand on."""
        async with self._held() as (device, looked):
            origin = self._origin(looked, device)
            await expect_room(self._store, origin.used)
            await deliveries.refuse_locked(self._store, self._delivery)
            if not self._plan.reduce:
                await self._noting(self._begin)
                made = await self._made(device, looked, origin)
        if self._plan.reduce:
            self._reduction = await self._reducible()
            await self._noting(self._begin)
            made = await self._made_reduced()
        await in_thread(self._progress.commit)
        return made

    async def _made_reduced(self) -> Made:
        try:
            await self._reduce()
            async with self._held() as (device, looked):
                return await self._made(device, looked, self._origin(looked, device))
        finally:
            self._progress.enter(Phase.GROWING)
            await _uninterrupted(self._grow_back())

    async def _grow_back(self) -> None:
        try:
            await grow_back(self._plan, self._models, self._reduction)
        except ModelNotGrownBack as error:
            made = f". The image {self._delivery.name} is made, and whole" if self._named.is_set() else ""
            raise ModelNotGrownBack(f"{error.message}{made}", hint=error.hint) from error

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[tuple[Device, Looked]]:
        async with held(self._plan, self._machine) as device:
            yield device, await look(self._plan, self._models, device)

    def _origin(self, looked: Looked, device: Device) -> Origin:
        origin = origin_of(looked, self._plan, self._models, device, self._count)
        self._progress.total = origin.used
        return origin

    def _count(self, used: int) -> None:
        self._progress.read += used

    async def _reducible(self) -> Reduction | None:
        plan = self._plan
        try:
            async with self._models.node(plan.target) as node:
                return await reductions.prepare(node, plan.filesystem, self._making.folder, self._progress.job_id)
        except (CannotReduce, ToolMissing) as error:
            self._warn(CannotReduce(f"the file system stays as large as it is: {error.message}", hint=error.hint))
            return None

    async def _reduce(self) -> None:
        if self._reduction is None:
            return
        self._progress.enter(Phase.REDUCING)
        try:
            async with self._models.node(self._plan.target) as node:
                await reductions.reduce(node, self._reduction)
        except CannotReduce as error:
            self._warn(error)

    def _warn(self, error: AgentError) -> None:
        _log.warning("%s", error.message)
        self._progress.warnings.append(error.der)

    async def _made(self, device: Device, looked: Looked, origin: Origin) -> Made:
        try:
            await deliveries.begin(self._store, self._delivery)
            index = await self._proven(device, looked, origin)
            self._progress.enter(Phase.COMMITTING)
            await _uninterrupted(self._commit())
        except asyncio.CancelledError:
            await self._abandon(self._making.cancelled_s)
            raise
        except BaseException:
            await self._abandon(_FAILED_S)
            raise
        return Made(index.size, index.used_blocks * index.block_size, self._plan.filesystem, index.digest.hex())

    async def _proven(self, device: Device, looked: Looked, origin: Origin) -> ImageIndex:
        """Whole, beside its name."""
        self._progress.enter(Phase.CAPTURING)
        making = self._making
        index, sums = await deliver(
            *(origin, self._store, self._delivery, self._progress),
            level=making.level,
            threads=making.threads,
            retry_for_s=making.store.source.retry_for_s,
        )
        self._progress.image = index.size
        await expect_unchanged(self._plan, self._models, device, looked)
        sidecars = self._sidecars(index, sums)
        await deliveries.put_sidecars(self._store, self._delivery, sidecars)
        if making.verify:
            self._progress.enter(Phase.VERIFYING)
            url, stored = self._store.url(self._delivery.part), image_index.decode(sidecars[image_index.SUFFIX])
            await prove_image(url, stored, making.store.source, making.threads, self._verified)
        self._delivery = replace(
            self._delivery,
            size=index.size,
            digest=index.digest.hex(),
            sidecars={suffix: blake3(content).hexdigest() for suffix, content in sidecars.items()},
        )
        return index

    def _verified(self, count: int) -> None:
        self._progress.verified += count

    def _sidecars(self, index: ImageIndex, sums: Sums) -> Sidecars:
        encoded = image_index.encode(index)
        used_kib = -(-index.used_blocks * index.block_size // KIB)
        info = f"partclone:zstd:{index.filesystem}:{used_kib}:{printable(socket.gethostname())}\n"
        sidecars = {".info": info.encode(), **sums.sidecars(), image_index.SUFFIX: encoded}
        if self._making.key is not None:
            sidecars[signature.SUFFIX] = self._making.key.sign(encoded)
        return sidecars

    async def _commit(self) -> None:
        store, making = self._store, self._making
        await deliveries.check_lock(store, self._delivery)
        replaces = await deliveries.keep(store, self._delivery)
        self._delivery = replace(self._delivery, stage="renaming", replaces=replaces)
        await self._noting(self._progress.books.noting)
        prove = prover(store, self._delivery, making.store)
        try:
            await deliveries.rename(store, self._delivery, prove, keep_previous=making.keep_previous)
        except AgentError:
            await deliveries.put_back(store, self._delivery)
            self._delivery = replace(self._delivery, stage="made")
            raise
        self._named.set()

    def _begin(self, note: bytes) -> None:
        self._progress.change_begins()
        self._progress.books.committing(note)

    async def _noting(self, book: Callable[[bytes], None]) -> None:
        note = Note(
            plan=self._plan,
            keep_previous=self._making.keep_previous,
            delivery=self._delivery,
            reduction=self._reduction,
        )
        await in_thread(book, msgspec.json.encode(note))

    async def _abandon(self, patience_s: float) -> None:
        """A repository that is away keeps nobody waiting: who comes next is told of the lock. It stays as well where
        names were changed and could not be put back.
        """
        if self._named.is_set() or self._delivery.stage == "renaming":
            return
        leaving = asyncio.ensure_future(deliveries.end(self._store, self._delivery))
        with suppress(TimeoutError, asyncio.CancelledError, AgentError):
            await asyncio.wait_for(leaving, patience_s)
        if leaving.cancelled() or leaving.exception() is not None:
            _log.warning("what was begun of %s could not be removed from the repository", self._delivery.name)


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """A cancel that comes now waits for the end of ``work``, and what is then true counts."""
    task = asyncio.ensure_future(work)
    with suppress(asyncio.CancelledError):
        await wait_out([task])
    task.result()
