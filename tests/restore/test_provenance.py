"""An index is compared with the file and with the partition before more is made of it, and no thread is left behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace

from ogagent.errors import ImageTooLarge, SignatureRefused
from ogagent.image.index import ImageIndex, encode, largest_index
from ogagent.image.indexed import IndexedImage, open_indexed
from ogagent.image.seekable import pack_frame
from ogagent.model.plan import Target
from ogagent.restore.caching import Cache
from ogagent.restore.progress import Progress
from ogagent.restore.provenance import indexed_image
from ogagent.source.source import Source
from tests.faults.framed import INDEX, KEY, SIGNATURE, framed
from tests.faults.images import SIZE
from tests.image.test_index_bombs import BLOCK, head_of, index_of

MIB: Final = 1 << 20
WAIT_S: Final = 300
FRAMED: Final = framed("crc32")


class Repository:
    """Implements ``ogagent.source.source.Source``, and remembers how much was asked of it."""

    takes_ranges = True

    def __init__(self, index: ImageIndex, *, data: bytes = FRAMED.data, signed: bool = False) -> None:
        self._data = data
        self._sidecars = {INDEX: encode(index)}
        if signed:
            self._sidecars[SIGNATURE] = KEY.sign(self._sidecars[INDEX])
        self.size: int | None = None
        self.parts: list[tuple[int, int]] = []
        self.limits: dict[str, int] = {}

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self.part(0, len(self._data))

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        self.size = len(self._data)
        self.parts.append((start, stop))
        yield self._data[start:stop]

    def at_hand(self, start: int, stop: int) -> bool:  # noqa: ARG002 - as Source has it
        return False

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - as Source has it
        return False

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        self.limits[suffix] = limit
        found = self._sidecars.get(suffix)
        return None if found is None else found[:limit]


def target(size: int = SIZE) -> Target:
    return Target(disk=1, partition=2, device="d", disk_device="d", identity="i", start=0, size=size, sector_size=512)


async def found_in(
    repository: Source, size: int = SIZE, keys: tuple[Ed25519PublicKey, ...] = ()
) -> IndexedImage | None:
    found = await indexed_image(repository, "x.img", target(size), keys, Cache(), Progress())
    return None if found is None else found[0]


async def test_an_index_that_is_right() -> None:
    repository = Repository(FRAMED.index)
    found = await found_in(repository)
    assert found is not None
    assert found.index == FRAMED.index
    assert repository.parts == [(0, FRAMED.index.prefix.length)]


async def test_an_index_is_asked_for_as_far_as_it_suits_the_partition() -> None:
    for size in (SIZE, 100 << 30, 1 << 40):
        repository = Repository(FRAMED.index)
        await found_in(repository, size)
        assert repository.limits[INDEX] == largest_index(size) + 1
    assert largest_index(SIZE) < 9 * MIB
    assert largest_index(1 << 40) < 49 * MIB


@pytest.mark.parametrize("keys", [(), (KEY.public_key(),)])
async def test_an_image_for_a_larger_partition(keys: tuple[Ed25519PublicKey, ...]) -> None:
    repository = Repository(FRAMED.index, signed=True)
    with pytest.raises(ImageTooLarge):
        await found_in(repository, SIZE - 4096, keys)


async def test_an_index_of_another_file_is_not_asked_how_large_its_partition_is() -> None:
    """A smaller image has taken the place of a larger one, whose index is still there: it is a stream."""
    stale = replace(FRAMED.index, device_size=1 << 40, size=FRAMED.index.size + 1)
    assert await found_in(Repository(stale)) is None


async def test_no_more_of_the_file_is_fetched_than_a_bitmap_of_the_partition_can_have() -> None:
    long = replace(FRAMED.index.prefix, length=1 << 30)
    nothing = {"regions": b"", "frames": b"", "hashes": b""}
    repository = Repository(replace(FRAMED.index, prefix=long, size=1 << 31, device_size=1 << 50, **nothing))
    assert await found_in(repository) is None
    assert repository.parts == []


async def test_an_index_that_is_too_long_is_not_read() -> None:
    class Endless(Repository):
        async def sidecar(self, suffix: str, limit: int) -> bytes | None:
            return bytes(limit) if suffix == INDEX else None

    assert await found_in(Endless(FRAMED.index)) is None
    with pytest.raises(SignatureRefused):
        await found_in(Endless(FRAMED.index), keys=(KEY.public_key(),))


class SlowPool(ThreadPoolExecutor):
    """Its threads do their work only once ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(1)
        self.go = threading.Event()
        self.asked = asyncio.Event()
        self.done = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked.set()

        def slowly() -> Any:
            self.go.wait(WAIT_S)
            try:
                return fn(*args, **kwargs)
            finally:
                self.done += 1

        return super().submit(slowly)


async def test_a_cancel_waits_for_the_thread() -> None:
    pool = SlowPool()
    asyncio.get_running_loop().set_default_executor(pool)
    found = asyncio.ensure_future(found_in(Repository(FRAMED.index)))
    await pool.asked.wait()
    found.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not found.done()
    pool.go.set()
    await asyncio.wait([found])
    assert found.cancelled()
    assert pool.done == 1


def calls_in(work: Callable[[], object]) -> int:
    """How many Python functions are called: what work costs, however busy the machine is."""
    count = 0

    def called(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("used", [0, 1])
def test_time_stays_bounded(used: int) -> None:
    """A few kilobytes are a bitmap for 256 GiB in blocks of 512 bytes, all free or all in use."""
    device_size = 1 << 38
    blocks = device_size // BLOCK * used
    head = head_of(device_size, blocks)
    packed = pack_frame(head, 1)
    numbers = b"".join(number.to_bytes(4, "little") for number in range(blocks * BLOCK // MIB))
    index = index_of(head, packed, [], device_size=device_size, used_blocks=blocks, regions=numbers)
    assert len(packed) < 10_000
    assert calls_in(lambda: open_indexed(index, packed)) < 20_000
