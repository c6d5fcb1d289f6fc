"""One restore from its first check to its last byte. It knows no HTTP and no ogCore; it returns or raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar

from ogagent.disk.machine import Device, Machine
from ogagent.image.detect import open_image
from ogagent.image.piece import Image
from ogagent.model.job import Phase
from ogagent.model.plan import ImageHeader, RestorePlan
from ogagent.model.units import MIB
from ogagent.restore import pipeline
from ogagent.restore.channel import Inlet
from ogagent.restore.patience import wait_out
from ogagent.restore.pipeline import Pipeline
from ogagent.restore.plan import check_image, check_size
from ogagent.restore.progress import Progress
from ogagent.restore.sidecars import WholeFileSum, refuse_locked
from ogagent.restore.writer import PartitionWriter
from ogagent.source.source import Source, SourcePolicy, open_source

_IN_FLIGHT: Final = 16 * MIB
P = ParamSpec("P")
T = TypeVar("T")


async def restore(plan: RestorePlan, machine: Machine, policy: SourcePolicy, progress: Progress) -> None:
    """Returns when the disk holds the image.

    Raises AgentError. Whatever it raises, and when it is cancelled: either nothing has been written, or the partition
    mounts nowhere; and no thread is left.
    """
    progress.enter(Phase.CHECKING)
    try:
        async with _opened_image(plan, policy, progress) as (image, inlet, executor):
            await _in_thread(executor, inlet.stop, _prepare, image, plan, progress)
            target = machine.open_target(plan.target)
            async with _opened_device(target, executor) as device:
                await _lay_down(image, device, inlet, executor, progress)
    finally:
        progress.enter(None)


async def read_header(plan: RestorePlan, policy: SourcePolicy) -> ImageHeader:
    """What the image says of itself, found to suit the plan. Nothing is written. Raises AgentError."""
    async with _opened_image(plan, policy, Progress()) as (image, _, _):
        return image.header


async def _lay_down(image: Image, device: Device, inlet: Inlet, executor: Executor, progress: Progress) -> None:
    """The order of these lines is what the promises about interrupted partitions stand on."""
    writer = PartitionWriter(device, progress)
    progress.enter(Phase.FETCHING)
    await _in_thread(executor, writer.stop, writer.begin)
    await Pipeline(image, writer, inlet, progress).run(executor)
    progress.enter(Phase.FLUSHING)
    await _in_thread(executor, writer.stop, writer.flush)
    if progress.read_back_wanted:
        progress.enter(Phase.READING_BACK)
        await _in_thread(executor, writer.stop, writer.read_back, image.places(), image.buffer_size)
    progress.enter(Phase.COMMITTING)
    await _uninterrupted(executor, partial(writer.commit, read_back=progress.read_back_wanted))


@asynccontextmanager
async def _opened_image(
    plan: RestorePlan, policy: SourcePolicy, progress: Progress
) -> AsyncIterator[tuple[Image, Inlet, Executor]]:
    inlet = Inlet(_IN_FLIGHT)
    executor = ThreadPoolExecutor(pipeline.THREADS, thread_name_prefix="restore")
    try:
        async with open_source(plan.source, policy, lambda: _count_retry(progress)) as source:
            progress.image = source.size
            await refuse_locked(source)
            proof = await WholeFileSum.beside(source)
            pump = asyncio.create_task(_pump(source, inlet, progress, proof))
            try:
                image = await _in_thread(executor, inlet.stop, open_image, iter(inlet), policy.max_window)
                check_image(plan, image.header)
                yield image, inlet, executor
            finally:
                inlet.stop()
                pump.cancel()
                await wait_out([pump])
    finally:
        executor.shutdown(wait=False)


@asynccontextmanager
async def _opened_device(target: AbstractContextManager[Device], executor: Executor) -> AsyncIterator[Device]:
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(executor, target.__enter__)
    try:
        await wait_out([opening])
        yield opening.result()
    finally:
        if opening.exception() is None:
            await wait_out([loop.run_in_executor(executor, target.__exit__, None, None, None)])


async def _pump(source: Source, inlet: Inlet, progress: Progress, proof: WholeFileSum) -> None:
    """From the network into the first queue; what breaks here reaches the decoder as the cause."""
    try:
        async for chunk in source.chunks():
            progress.received += len(chunk)
            await proof.update(chunk)
            await inlet.put(chunk)
        await proof.check()
    except Exception as error:  # noqa: BLE001 - it is raised again by whoever reads the inlet
        inlet.fail(error)
    else:
        inlet.close()


def _prepare(image: Image, plan: RestorePlan, progress: Progress) -> None:
    progress.total = image.prepare()
    if image.header.format == "raw" and image.header.container == "none" and progress.image is not None:
        progress.total = progress.image
        check_size(progress.image, plan.target)


def _count_retry(progress: Progress) -> None:
    progress.retries += 1


async def _uninterrupted(executor: Executor, work: Callable[[], None]) -> None:
    """A cancel that comes now waits for the end of ``work``, and what is then true of the disk counts."""
    future = asyncio.get_running_loop().run_in_executor(executor, work)
    with suppress(asyncio.CancelledError):
        await wait_out([future])
    future.result()


async def _in_thread(
    executor: Executor, hurry: Callable[[], None], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs ``work`` in a thread; ``hurry`` makes it end soon."""
    future = asyncio.get_running_loop().run_in_executor(executor, lambda: work(*args, **kwargs))
    try:
        await wait_out([future], hurry)
    finally:
        failure = future.exception()  # looked at, so that nobody warns when being cancelled is what counts
    if failure is not None:
        raise failure
    return future.result()
