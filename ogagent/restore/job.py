"""One restore from its first check to its last byte. It knows no HTTP and no ogCore; it returns or raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

from yarl import URL

from ogagent.disk.lookup import check_identity
from ogagent.disk.machine import Device, Machine
from ogagent.disk.record import record_of
from ogagent.disk.sleepers import discard_images, warn_of_windows
from ogagent.errors import ImageError, InternalError, SessionNotJoined
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.model.job import Phase
from ogagent.model.plan import ImageHeader, Target
from ogagent.restore.boot_copy import add_boot_copy
from ogagent.restore.caching import Cache, Caching, opened_cache
from ogagent.restore.counted import CountedSource
from ogagent.restore.crowd import Crowding, CrowdSource
from ogagent.restore.delivery import Delivery
from ogagent.restore.indexed import RegionDelivery
from ogagent.restore.kept_regions import KeptRegions
from ogagent.restore.patience import share_out
from ogagent.restore.plan import check_image, check_sectors, check_size
from ogagent.restore.progress import Progress
from ogagent.restore.provenance import indexed_image
from ogagent.restore.request import RestorePlan
from ogagent.restore.sidecars import full_sum, refuse_locked
from ogagent.restore.streamed import streamed
from ogagent.restore.threads import thread_count
from ogagent.restore.whole import WholeDelivery
from ogagent.restore.writer import PartitionWriter
from ogagent.source.source import Source, SourcePolicy, open_source
from ogagent.system.patience import entered, interruptible, wait_out
from ogagent.system.text import printable

_COMPARED_AT_ONCE: Final = 256
_NO_PROOF: Final = SessionNotJoined("the image has neither an index nor a sum: it comes from the repository alone")
_NOT_KEPT: Final = SessionNotJoined(
    "the image has no index, and there is no CACHE to keep it in: it comes from the repository alone",
    hint="use multicast-direct, which needs none",
)


async def restore(
    plan: RestorePlan,
    machine: Machine,
    policy: SourcePolicy,
    progress: Progress,
    caching: Caching | None = None,
    crowding: Crowding | None = None,
) -> None:
    """Returns when the disk holds the image. Without ``caching`` it does not go through the CACHE; without ``crowding``
    it comes from the repository alone.

    Raises AgentError. Whatever it raises, and when it is cancelled: either nothing has been written, or the partition
    mounts nowhere; and no thread is left.
    """
    try:
        check_identity(plan.request.identity, plan.target.disk, plan.target.identity)
        progress.warnings += plan.remarks
        warn_of_windows(plan, progress)
        async with opened_cache(plan, caching, progress) as cache:
            try:
                await _attempt(plan, machine, policy, cache, progress, crowding)
            except ImageError as error:
                if not cache.refuted(error) and not progress.refute_crowd():
                    raise
                progress.begin_again()
                await _attempt(plan, machine, policy, cache, progress)
    finally:
        progress.enter(None)


async def _attempt(
    plan: RestorePlan,
    machine: Machine,
    policy: SourcePolicy,
    cache: Cache,
    progress: Progress,
    crowding: Crowding | None = None,
) -> None:
    progress.enter(Phase.CHECKING)
    async with _opened_image(plan, policy, cache, progress, crowding) as (image, executor):
        progress.total = await interruptible(executor, image.stop, image.prepare)
        check_size(progress.total or 0, plan.target)
        target = machine.open_target(plan.target)
        async with entered(target, executor) as device:
            discard = partial(discard_images, plan, machine, progress)
            try:
                await _write_image(image, device, plan, discard, cache, executor, progress)
            finally:
                await image.leave()
        with suppress(asyncio.CancelledError):  # as while committing: the disk holds the image, and this is what counts
            await cache.finish()


async def read_header(plan: RestorePlan, policy: SourcePolicy) -> ImageHeader:
    """What the image says of itself, found to suit the plan. Nothing is written. Raises AgentError."""
    async with _opened_image(plan, policy, Cache(), Progress()) as (image, _):
        return image.header


def _record(plan: RestorePlan, progress: Progress) -> bytes:
    name = printable(PurePosixPath(URL(plan.source).path).name)
    target, request = plan.target, plan.request.echo()
    return record_of(
        target.identity, target.size, request, job_id=progress.job_id, started=progress.created, image=name
    )


async def _write_image(
    image: Delivery,
    device: Device,
    plan: RestorePlan,
    discard: Callable[[], None],
    cache: Cache,
    executor: Executor,
    progress: Progress,
) -> None:
    """The order of these lines is what the promises about interrupted partitions stand on."""
    await cache.begin()
    writer = PartitionWriter(device, progress, _record(plan, progress))
    await interruptible(executor, image.stop, image.look, device, writer)
    progress.enter(Phase.FETCHING)
    await interruptible(executor, writer.stop, _begin, discard, writer)
    await image.run(writer, executor)
    cache.proven()
    _expect_all(progress)
    _expect_mountable(image.header, writer, plan.target)
    await interruptible(executor, writer.stop, add_boot_copy, image, writer)
    if progress.bottleneck == "network" and progress.from_cache > progress.received:
        progress.bottleneck = "disk"
    progress.enter(Phase.FLUSHING)
    await interruptible(executor, writer.stop, writer.flush)
    if progress.read_back_wanted:
        progress.enter(Phase.READING_BACK)
        await _read_back(image, writer, executor)
    progress.enter(Phase.COMMITTING)
    await _uninterrupted(executor, partial(writer.commit, read_back=progress.read_back_wanted))


def _begin(discard: Callable[[], None], writer: PartitionWriter) -> None:
    """Not to be parted: whoever sleeps loses nothing unless the partition changes."""
    discard()
    writer.begin()


def _expect_all(progress: Progress) -> None:
    """What was lost on the way is not read back either: only counting shows it."""
    if progress.total is not None and progress.in_place != progress.total:
        raise InternalError(f"{progress.in_place} bytes of the image were laid down, it has {progress.total}")


def _expect_mountable(header: ImageHeader, writer: PartitionWriter, target: Target) -> None:
    """Headers of partclone do not tell what the superblock does, which is known when it has come."""
    superblock = recognize(bytes(writer.edges_at(0, PROBE_SIZE)), header.filesystem)
    if superblock is not None:
        check_sectors(superblock.filesystem, superblock.sector_size, target)


async def _read_back(image: Delivery, writer: PartitionWriter, executor: Executor) -> None:
    written = image.written()
    while some := list(islice(written, _COMPARED_AT_ONCE)):
        await share_out(executor, thread_count(), writer.stop, writer.compare, some)
    await interruptible(executor, writer.stop, writer.compare_added)


@asynccontextmanager
async def _opened_image(
    plan: RestorePlan,
    policy: SourcePolicy,
    cache: Cache,
    progress: Progress,
    crowding: Crowding | None = None,
) -> AsyncIterator[tuple[Delivery, Executor]]:
    executor = ThreadPoolExecutor(thread_count(), thread_name_prefix="restore")
    try:
        async with open_source(plan.source, policy, lambda: _count_retry(progress)) as repository:
            source = CountedSource(repository, progress)
            await refuse_locked(source)
            name = PurePosixPath(URL(plan.source).path).name
            crowd = _crowd(plan, crowding, source, progress)
            async with _delivery(crowd or source, name, plan, policy, cache, progress, executor) as image:
                check_image(plan, image.header)
                yield image, executor
    finally:
        executor.shutdown(wait=False)


@asynccontextmanager
async def _delivery(
    source: Source,
    name: str,
    plan: RestorePlan,
    policy: SourcePolicy,
    cache: Cache,
    progress: Progress,
    executor: Executor,
) -> AsyncIterator[Delivery]:
    """By its index where there is one."""
    indexed = await indexed_image(source, name, plan.target, policy.public_keys, cache, progress)
    if indexed is not None:
        framed, parts = indexed
        crowd = source if isinstance(source, CrowdSource) else None
        if crowd is not None and isinstance(parts, KeptRegions):
            crowd.storage = parts
        yield RegionDelivery(framed, parts, progress, crowd)
        return
    opened = partial(streamed, name=name, max_window=policy.max_window, progress=progress, executor=executor)
    if isinstance(source, CrowdSource) and (checked := await _checked(source, name, plan, opened, executor)):
        if plan.session is not None and plan.session.engine == "udpcast":  # its order is that of the file
            source.streams = True
        elif kept := await cache.as_whole(source, name):
            yield WholeDelivery(kept, *checked, partial(opened, kept))
            return
        else:
            source.fall_back(_NOT_KEPT)
    async with opened(await cache.as_stream(source, name)) as image:
        yield image


async def _checked(
    source: CrowdSource,
    name: str,
    plan: RestorePlan,
    opened: Callable[[Source], AbstractAsyncContextManager[Delivery]],
    executor: Executor,
) -> tuple[ImageHeader, int | None] | None:
    """Of an image without an index, what the repository's says of itself. A crowd may give it where a sum tells in the
    end whether it was this image; None: nobody but the repository may.
    """
    if await full_sum(source, name) is None:
        source.fall_back(_NO_PROOF)
        return None
    async with opened(source) as image:
        check_image(plan, image.header)
        total = await interruptible(executor, image.stop, image.prepare)
        check_size(total or 0, plan.target)
        return image.header, total


def _crowd(plan: RestorePlan, crowding: Crowding | None, source: Source, progress: Progress) -> CrowdSource | None:
    if plan.session is None or crowding is None:
        return None
    join = partial(crowding.join, plan.session, plan.request.ipr, plan.request.nci)
    return CrowdSource(source, crowding, join, progress)


def _count_retry(progress: Progress) -> None:
    progress.retries += 1


async def _uninterrupted(executor: Executor, work: Callable[[], None]) -> None:
    """A cancel that comes now waits for the end of ``work``, and what is then true of the disk counts."""
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    with suppress(asyncio.CancelledError):
        await wait_out([future])
    future.result()
