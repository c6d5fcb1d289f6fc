"""The one pass in which a partition becomes an image: read, packed, hashed and delivered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

from ogagent.capture.delivery import Delivery, Sums
from ogagent.capture.progress import CaptureProgress
from ogagent.capture.store import Store, UploadBroken
from ogagent.errors import RepositoryUnreachable
from ogagent.image.index import ImageIndex
from ogagent.model.job import Bottleneck
from ogagent.model.units import MIB
from ogagent.system.channel import Outlet, Stopped
from ogagent.system.patience import interruptible, wait_out

_log: Final = logging.getLogger(__name__)
_UNDER_WAY: Final = 16 * MIB
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0


class Origin(Protocol):
    """What an image is made of. ``used`` in bytes, None while that is not known; ``read_s``: seconds that it has been
    waited for.
    """

    @property
    def used(self) -> int | None: ...

    @property
    def read_s(self) -> float: ...

    def opened(self) -> AbstractAsyncContextManager[Origin]:
        """For one image. Raises ModelNotRead, also at the end."""

    def pack(self, name: str, write: Callable[[bytes], object], level: int, threads: int) -> ImageIndex:
        """``write`` gets the image ``name``. Blocking; in a thread. Raises ModelNotRead."""

    def stop(self) -> None:
        """``pack`` ends soon, however."""


async def deliver(
    origin: Origin,
    store: Store,
    delivery: Delivery,
    progress: CaptureProgress,
    *,
    level: int,
    threads: int,
    retry_for_s: float,
) -> tuple[ImageIndex, Sums]:
    """The part of the delivery is the image then. An upload that breaks is begun again, until uploads have been broken
    for too long. Raises ModelNotRead, and what the store raises.

    Whatever it raises: no thread of it is left.
    """
    pause_s = _FIRST_PAUSE_S
    broken_at: float | None = None
    while True:
        try:
            return await _make(origin, store, delivery, progress, level, threads)
        except UploadBroken as error:
            now = time.monotonic()
            broken_at = now if broken_at is None else broken_at
            if now + pause_s > broken_at + retry_for_s:
                raise RepositoryUnreachable(
                    f"the repository does not take {delivery.name}: {error}",
                    hint="check that it runs, and the network between it and this machine",
                ) from error
            _log.warning("the upload broke (%s); it is begun again in %.0f s", error, pause_s)
        await asyncio.sleep(pause_s)
        progress.begin_again()
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _make(
    origin: Origin, store: Store, delivery: Delivery, progress: CaptureProgress, level: int, threads: int
) -> tuple[ImageIndex, Sums]:
    async with origin.opened() as opened:
        return await _packed(opened, store, delivery, progress, level, threads)


async def _packed(
    origin: Origin, store: Store, delivery: Delivery, progress: CaptureProgress, level: int, threads: int
) -> tuple[ImageIndex, Sums]:
    outlet, sums, began = Outlet(_UNDER_WAY), Sums(), time.monotonic()

    def write(data: bytes) -> None:
        sums.add(data)
        progress.packed += len(data)
        outlet.put(data)

    def pack() -> ImageIndex:
        try:
            index = origin.pack(delivery.name, write, level, threads)
        except Exception as error:
            outlet.fail(error)
            raise
        outlet.close()
        return index

    def stop() -> None:
        outlet.stop()
        origin.stop()

    packing = asyncio.ensure_future(interruptible(None, stop, pack))
    try:
        await store.stream(delivery.part, _counted(outlet.chunks(), progress))
    except Exception:
        stop()
        with suppress(Stopped):  # when it has failed by itself, that is the cause, and not what broke without its bytes
            await _settled(packing)
        raise
    except BaseException:
        stop()
        await wait_out([packing])
        packing.exception()  # looked at, so that nobody warns when being cancelled is what counts
        raise
    index = await _settled(packing)
    progress.bottleneck = _bottleneck(time.monotonic() - began, outlet.sender_waited_s, origin.read_s)
    return index, sums


async def _settled(packing: asyncio.Future[ImageIndex]) -> ImageIndex:
    await wait_out([packing])
    return packing.result()


async def _counted(chunks: AsyncIterator[bytes], progress: CaptureProgress) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        progress.delivered += len(chunk)


def _bottleneck(took_s: float, network_s: float, disk_s: float) -> Bottleneck:
    """What took the most of the time."""
    shares: dict[Bottleneck, float] = {
        "network": network_s,
        "disk": disk_s,
        "compression": took_s - network_s - disk_s,
    }
    return max(shares, key=lambda stage: shares[stage])
