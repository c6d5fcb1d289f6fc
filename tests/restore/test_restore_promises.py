"""The promises about what is on the disk, held against a device that records, fails and lies."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip

from ogagent.errors import (
    AgentError,
    FilesystemMismatch,
    ImageCorrupt,
    ImageError,
    ImageTooLarge,
    ReadBackDiffers,
    UnknownImage,
    WriteFailed,
)
from ogagent.model.disk import Inventory
from ogagent.model.job import Phase
from ogagent.model.plan import RestorePlan, Target
from ogagent.model.request import restore_request
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.source.source import SourcePolicy
from tests.records import without_record

MIB: Final = 1 << 20
SIZE: Final = 12 * MIB
BLOCK: Final = 4096
TOTAL: Final = SIZE // BLOCK
GROUP: Final = 16
HEAD: Final = TOTAL // 12  # blocks in the first MiB
BITMAP: Final = 110
BLOCKS: Final = BITMAP + TOTAL // 8 + 4
BEFORE: Final = b"\xaa" * SIZE
ZEROS: Final = bytes(MIB)
RANDOM: Final = random.Random(5)
CONTENT: Final = RANDOM.randbytes(SIZE)
USED: Final = [0, 1, 16, *range(20, 70), *range(HEAD - 3, 400), *range(401, TOTAL - 700, 2), *range(TOTAL - 600, TOTAL)]


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def block(number: int) -> bytes:
    return CONTENT[number * BLOCK : (number + 1) * BLOCK]


def partclone(total: int = TOTAL) -> bytes:
    """Format 0002, as partclone's IMAGE_FORMATS.md has it."""
    fields = struct.pack(
        "<16s14s4sH16sQQQQIIHHHHIBB",
        *(b"partclone-image", b"0.3.40", b"0002", 0xC0DE, b"EXTFS", total * BLOCK, total, len(USED), len(USED), BLOCK),
        *(18, 2, 64, 0x20, 4, GROUP, 1, 1),
    )
    bits: bytes = sum(1 << number for number in USED).to_bytes(total // 8, "little")
    groups = (b"".join(map(block, USED[start : start + GROUP])) for start in range(0, len(USED), GROUP))
    return fields + crc(fields) + bits + crc(bits) + b"".join(group + crc(group) for group in groups)


PAGES: Final = [MIB, 2 * MIB, 4 * MIB, SIZE - 386 * BLOCK]
"""Between the first and the last MiB: where the headers of LUKS2, VMFS and Promise's RAIDs stand."""
EDGES: Final = [range(MIB), *(range(page, page + BLOCK) for page in PAGES), range(SIZE - MIB, SIZE)]


def at_edge(offset: int) -> bool:
    return any(offset in edge for edge in EDGES)


IMAGE: Final = partclone()
RESTORED: Final[bytes] = b"".join(
    block(number) if number in set(USED) else (bytes(BLOCK) if at_edge(number * BLOCK) else BEFORE[:BLOCK])
    for number in range(TOTAL)
)


class RecordingDevice:
    """Implements ``ogagent.disk.machine.Device`` in memory."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.medium = bytearray(BEFORE[:size])
        self.log: list[tuple[str, int, int]] = []
        self.opened = self.closed = False
        self.fail_at = -1
        """The number of the operation that changes the medium, or flushes, which fails."""
        self.lies_at = -1
        """A byte that reads back as another one."""
        self.loses_at = -1
        """A byte that is never written, though the device says so."""
        self.before: Callable[[int], None] = lambda _: None

    @property
    def head(self) -> bytes:
        """But for the record of the restore that did not finish."""
        return without_record(bytes(self.medium[:MIB]))

    def write(self, offset: int, data: memoryview) -> None:
        self._act("write", offset, len(data))
        self._store(offset, bytes(data))

    def zero(self, offset: int, length: int) -> None:
        self._act("zero", offset, length)
        self._store(offset, bytes(length))

    def flush(self) -> None:
        self._act("flush", 0, 0)

    def read_back(self, offset: int, into: memoryview) -> None:
        assert not self.closed
        self.before(-1)
        into[:] = self.medium[offset : offset + len(into)]
        if offset <= self.lies_at < offset + len(into):
            into[self.lies_at - offset] ^= 1

    def _act(self, kind: str, offset: int, length: int) -> None:
        assert not self.closed
        assert 0 <= offset <= offset + length <= self.size
        number = len(self.log)
        self.before(number)
        self.log.append((kind, offset, length))
        if number == self.fail_at:
            raise WriteFailed(f"{kind} at {offset} failed")

    def _store(self, offset: int, data: bytes) -> None:
        kept = self.medium[self.loses_at] if self.loses_at >= 0 else 0
        self.medium[offset : offset + len(data)] = data
        if self.loses_at >= 0:
            self.medium[self.loses_at] = kept


class OneDevice:
    """Implements ``ogagent.disk.machine.Machine``."""

    def __init__(self, device: RecordingDevice) -> None:
        self.device = device

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[RecordingDevice]:
        assert target.size == self.device.size
        self.device.opened = True
        try:
            yield self.device
        finally:
            self.device.closed = True


def plan_for(image: Path, *, cpt: str = "83", size: int = SIZE, sector: int = 512) -> RestorePlan:
    call = {"dsk": "1", "par": "2", "idi": "1", "nci": "x", "ipr": "127.0.0.1", "cpt": cpt}
    target = Target(
        disk=1,
        partition=2,
        device="/dev/sda2",
        disk_device="/dev/sda",
        identity="wwn-1",
        start=MIB,
        size=size,
        sector_size=sector,
    )
    return RestorePlan(request=restore_request(call), target=target, source=image.as_uri())


POLICY: Final = SourcePolicy(tls=ssl.create_default_context(), networks=None, stall_timeout_s=30, retry_for_s=30)


class Watched:
    """Implements ``ogagent.restore.progress.Books``: how many operations the device had seen at each point."""

    def __init__(self, device: RecordingDevice) -> None:
        self.device = device
        self.seen: dict[str, int] = {}
        self.refuses = ""
        self.edges = b""

    def touching(self) -> None:
        self._note("touching")

    def committing(self, edges: bytes) -> None:
        self.edges = edges
        self._note("committing")

    def noting(self, note: bytes) -> None: ...

    def committed(self) -> None:
        self._note("committed")

    def _note(self, point: str) -> None:
        if point == self.refuses:
            raise WriteFailed("the journal is full")
        self.seen[point] = len(self.device.log)


class Bench:
    """One restore from a file to a device."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "x.img"
        self.device = RecordingDevice()
        self.books = Watched(self.device)
        self.progress = Progress()

    async def restore(self, data: bytes, *, cpt: str = "83", sector: int = 512) -> None:
        self.books.device = self.device
        self.progress.books = self.books
        self.image.write_bytes(data)
        plan = plan_for(self.image, cpt=cpt, size=self.device.size, sector=sector)
        try:
            await restore(plan, OneDevice(self.device), POLICY, self.progress)
        finally:
            await no_thread_left()
            assert self.device.opened == self.device.closed

    async def fails(self, kind: type[AgentError], data: bytes, number: int) -> None:
        with pytest.raises(kind) as caught:
            await self.restore(data)
        assert type(caught.value) is kind
        assert caught.value.number == number


async def no_thread_left() -> None:
    """Idle threads of a pool that was shut down end by themselves; one that works on would not."""
    for thread in threading.enumerate():
        if thread.name.startswith("restore"):
            await asyncio.to_thread(thread.join, 20)
            assert not thread.is_alive()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    return data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]


def nothing_written(bench: Bench) -> None:
    assert bench.device.log == []
    assert bytes(bench.device.medium) == BEFORE[: bench.device.size]
    assert bench.books.seen == {}
    assert not bench.progress.touched


# --- 1: nothing is written before everything is checked ----------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (partclone(TOTAL + 8), ImageTooLarge),
        (flipped(IMAGE, 40), ImageCorrupt),
        (flipped(IMAGE, 52, 7), ImageCorrupt),
        (flipped(IMAGE, BITMAP - 1), ImageCorrupt),
        (flipped(IMAGE, BITMAP), ImageCorrupt),
        (flipped(IMAGE, BLOCKS - 5, 7), ImageCorrupt),
        (flipped(IMAGE, BLOCKS - 1), ImageCorrupt),
        (IMAGE[:60], ImageCorrupt),
        (IMAGE[: BLOCKS - 1], ImageCorrupt),
        (flipped(IMAGE, 3), UnknownImage),
        (b"", UnknownImage),
        (b"<html>404</html>", UnknownImage),
        (igzip.compress(IMAGE)[:40], ImageError),
    ],
    ids=range(13),
)
@pytest.mark.parametrize("container", ["plain", "gzip"])
async def test_a_bad_beginning_is_found_before_the_first_write(
    bench: Bench, data: bytes, kind: type[ImageError], container: str
) -> None:
    with pytest.raises(kind):
        await bench.restore(igzip.compress(data) if container == "gzip" and data else data)
    nothing_written(bench)


async def test_one_block_too_small(bench: Bench) -> None:
    bench.device = RecordingDevice(SIZE - BLOCK)
    await bench.fails(ImageTooLarge, IMAGE, 30)
    nothing_written(bench)


@pytest.mark.parametrize(("cpt", "sector"), [("7", 512), ("0700", 512), ("83", 8192)])
async def test_the_wrong_family(bench: Bench, cpt: str, sector: int) -> None:
    with pytest.raises(FilesystemMismatch):
        await bench.restore(IMAGE, cpt=cpt, sector=sector)
    nothing_written(bench)


def raw_ext4(size: int) -> bytes:
    data = bytearray(CONTENT[:size])
    struct.pack_into("<4xI16xI", data, 1024, 8 * MIB // BLOCK, 2)
    struct.pack_into("<H", data, 1024 + 56, 0xEF53)
    struct.pack_into("<II", data, 1024 + 92, 0, 0x40)
    return bytes(data)


async def test_a_raw_image_larger_than_the_partition(bench: Bench) -> None:
    bench.device = RecordingDevice(9 * MIB)
    await bench.fails(ImageTooLarge, raw_ext4(9 * MIB + 1), 30)
    nothing_written(bench)


async def test_a_raw_image_in_a_container_shows_its_size_only_later(bench: Bench) -> None:
    bench.device = RecordingDevice(9 * MIB)
    await bench.fails(ImageTooLarge, igzip.compress(raw_ext4(9 * MIB + 1)), 30)
    assert bench.device.head == ZEROS


async def test_what_touching_raises_keeps_the_partition_as_it_is(bench: Bench) -> None:
    bench.books.refuses = "touching"
    await bench.fails(WriteFailed, IMAGE, 14)
    nothing_written(bench)


async def test_what_committing_raises_leaves_the_edges_empty(bench: Bench) -> None:
    bench.books.refuses = "committing"
    await bench.fails(WriteFailed, IMAGE, 14)
    assert bench.device.head == ZEROS
    assert not bench.progress.committed


# --- 2: success means the disk holds the image -------------------------------------------------------------------


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize("container", ["plain", "gzip"])
async def test_a_restore(bench: Bench, read_back: bool, container: str) -> None:
    bench.progress.read_back_wanted = read_back
    await bench.restore(igzip.compress(IMAGE) if container == "gzip" else IMAGE)
    assert bytes(bench.device.medium) == RESTORED
    assert bench.books.edges == b"".join(RESTORED[edge.start : edge.stop] for edge in EDGES)
    first, last = bench.books.seen["committing"], bench.books.seen["committed"]
    assert (bench.books.seen["touching"], last) == (0, len(bench.device.log))
    assert all(at_edge(offset) for _, offset, _ in bench.device.log[first:])
    assert bench.progress.committed
    assert bench.progress.written == len(USED) * BLOCK
    assert bench.progress.read_back == (len(USED) * BLOCK if read_back else 0)


@pytest.mark.parametrize("size", [8 * MIB, 9 * MIB - 511, SIZE])
@pytest.mark.parametrize("container", ["plain", "gzip"])
async def test_a_raw_image(bench: Bench, size: int, container: str) -> None:
    image = raw_ext4(size)
    await bench.restore(igzip.compress(image) if container == "gzip" else image)
    rest = (bytes(BLOCK) if at_edge(at) else BEFORE[:BLOCK] for at in range(0, SIZE, BLOCK))
    assert bytes(bench.device.medium) == image + b"".join(rest)[size:]


async def test_stretches_of_zeros_are_not_written_but_zeroed(bench: Bench) -> None:
    image = bytearray(raw_ext4(SIZE))
    for start, end in ((MIB // 2, 3 * MIB), (5 * MIB, 5 * MIB + (64 << 10)), (6 * MIB + 7, 6 * MIB + BLOCK)):
        image[start:end] = bytes(end - start)
    await bench.restore(bytes(image))
    assert bytes(bench.device.medium) == image
    assert [entry for entry in bench.device.log if entry[0] == "zero"] == [
        ("zero", MIB + BLOCK, MIB - BLOCK),
        ("zero", 2 * MIB + BLOCK, MIB - BLOCK),
        ("zero", 5 * MIB, 64 << 10),
    ]


async def test_a_raw_image_that_is_too_short(bench: Bench) -> None:
    """Its length is known at once, unless a container hides it."""
    await bench.fails(ImageCorrupt, raw_ext4(8 * MIB - 1), 33)
    nothing_written(bench)
    await bench.fails(ImageCorrupt, igzip.compress(raw_ext4(8 * MIB - 1)), 33)
    assert bench.device.head == ZEROS


PLACES: Final = (
    BLOCKS,
    BLOCKS + 1,
    BLOCKS + GROUP * BLOCK,
    len(IMAGE) - 1,
    *RANDOM.sample(range(BLOCKS, len(IMAGE)), 30),
)


@pytest.mark.parametrize("place", PLACES)
async def test_one_flipped_bit(bench: Bench, place: int) -> None:
    await bench.fails(ImageCorrupt, flipped(IMAGE, place, place % 8), 33)
    assert bench.device.head == ZEROS


@pytest.mark.parametrize("place", RANDOM.sample(range(1000, len(IMAGE) * 9 // 10), 10))
async def test_one_flipped_bit_in_a_container(bench: Bench, place: int) -> None:
    packed = igzip.compress(IMAGE)
    await bench.fails(ImageCorrupt, flipped(packed, place), 33)
    assert bench.device.head in (ZEROS, BEFORE[:MIB])


@pytest.mark.parametrize("place", [*RANDOM.sample(range(BLOCKS, len(IMAGE)), 10), BLOCKS, len(IMAGE) - 1])
async def test_a_truncated_image(bench: Bench, place: int) -> None:
    """Its length is known at once, unless a container hides it."""
    await bench.fails(ImageCorrupt, IMAGE[:place], 33)
    nothing_written(bench)
    await bench.fails(ImageCorrupt, igzip.compress(IMAGE[:place]), 33)
    assert bench.device.head == ZEROS


@pytest.mark.parametrize("garbage", [b"\0", b"garbage", bytes(5 * MIB)], ids=len)
async def test_something_after_the_image(bench: Bench, garbage: bytes) -> None:
    await bench.fails(ImageCorrupt, IMAGE + garbage, 33)
    nothing_written(bench)
    await bench.fails(ImageCorrupt, igzip.compress(IMAGE + garbage), 33)
    assert bench.device.head == ZEROS


WRITTEN: Final = [number * BLOCK + at for number in (HEAD, 300, USED[1000], TOTAL - 1) for at in (0, 2000, BLOCK - 1)]
IN_HEAD: Final = [0, 1024, BLOCK, 16 * BLOCK, MIB - 1, 5 * BLOCK]


@pytest.mark.parametrize("place", WRITTEN + IN_HEAD)
async def test_a_device_that_reads_back_something_else(bench: Bench, place: int) -> None:
    bench.device.lies_at = place
    await bench.fails(ReadBackDiffers, IMAGE, 91)
    assert bench.device.head[:BLOCK] == bytes(BLOCK)


@pytest.mark.parametrize("place", WRITTEN + IN_HEAD)
async def test_a_device_that_loses_a_byte(bench: Bench, place: int) -> None:
    bench.device.loses_at = place
    await bench.fails(ReadBackDiffers, IMAGE, 91)
    assert not any(bench.device.medium[at] for at in range(BLOCK) if at != place)


# --- 3: the edges are written last --------------------------------------------------------------------------------


FLUSH: Final = ("flush", 0, 0)
FIRST: Final = ("write", 0, BLOCK)
OTHERS: Final = [
    ("write", BLOCK, MIB - BLOCK),
    *(("write", page, BLOCK) for page in PAGES),
    ("write", SIZE - MIB, MIB),
]
WIPE: Final = [FIRST, FLUSH, *OTHERS, FLUSH]
COMMIT: Final = [*OTHERS, FLUSH, FIRST, FLUSH]


def first_of_head(log: list[tuple[str, int, int]]) -> int:
    """The number of the write with which the head, wiped at first, comes back."""
    return next(n for n, (kind, offset, _) in enumerate(log) if n >= len(WIPE) and kind == "write" and offset < MIB)


async def log_of_a_restore(folder: Path, read_back: bool = True) -> list[tuple[str, int, int]]:
    bench = Bench(folder)
    bench.progress.read_back_wanted = read_back
    await bench.restore(IMAGE)
    return bench.device.log


@pytest.mark.parametrize("read_back", [True, False])
async def test_the_order_of_writes(tmp_path: Path, read_back: bool) -> None:
    log = await log_of_a_restore(tmp_path, read_back)
    assert log[: len(WIPE)] == WIPE
    assert log[-len(COMMIT) :] == COMMIT
    rest = log[len(WIPE) : -len(COMMIT)]
    assert len(rest) > 1
    assert rest[-1] == FLUSH
    assert not any(at_edge(offset) or at_edge(offset + length - 1) for _, offset, length in rest[:-1])


async def test_a_write_or_flush_that_fails(tmp_path: Path) -> None:
    """Until the very last flush, where the first page may or may not be on the medium."""
    log = await log_of_a_restore(tmp_path)
    first = first_of_head(log)
    places = {*range(5), *range(first - 5, len(log) - 1), *RANDOM.sample(range(len(log) - 1), 10)}
    for number in sorted(places):
        bench = Bench(tmp_path)
        bench.device.fail_at = number
        await bench.fails(WriteFailed, IMAGE, 14)
        if number == 0:
            assert bench.device.head == BEFORE[:MIB]
        elif len(WIPE) <= number < first + 1:
            assert bench.device.head == ZEROS
        assert number == 0 or bench.device.head[:BLOCK] == bytes(BLOCK)


async def cancelled_at(bench: Bench, number: int, reads: int = -1) -> bool:
    """Cancels while the device is in operation ``number``, or in so many-th read; answers whether that was heard."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(bench.restore(IMAGE))
    count = 0

    def cancel(acts: int) -> None:
        nonlocal count
        count += acts == -1
        if (acts == number and acts >= 0) or (acts == -1 and count == reads):
            asked = threading.Event()
            loop.call_soon_threadsafe(task.cancel)
            loop.call_soon_threadsafe(asked.set)
            assert asked.wait(20)

    bench.device.before = cancel
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def test_cancelled_at_any_write(tmp_path: Path) -> None:
    log = await log_of_a_restore(tmp_path)
    first = first_of_head(log)
    for number in sorted({*range(6), *range(first - 6, len(log)), *RANDOM.sample(range(len(log)), 20)}):
        bench = Bench(tmp_path)
        if await cancelled_at(bench, number):
            assert number < first
            assert bench.device.head == ZEROS
            assert len(bench.device.log) < len(log)
        else:
            assert number >= first
            assert bytes(bench.device.medium) == RESTORED


async def test_cancelled_while_it_reads_back(tmp_path: Path) -> None:
    for reads in (1, 2, 50, 500):
        bench = Bench(tmp_path)
        assert await cancelled_at(bench, -2, reads)
        assert bench.device.head == ZEROS


# --- 6: progress is honest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize(
    "data", [IMAGE, igzip.compress(IMAGE), igzip.compress(raw_ext4(SIZE))], ids=["plain", "gz", "raw"]
)
async def test_percent_rises_and_stays_below_100(bench: Bench, read_back: bool, data: bytes) -> None:
    bench.progress.read_back_wanted = read_back
    seen: list[int] = []
    bench.device.before = lambda _: seen.append(bench.progress.percent())
    await bench.restore(data)
    seen.append(bench.progress.percent())
    assert seen == sorted(seen)
    assert seen[0] == 0 or data[:2] == b"\x1f\x8b"  # what a compressed image has delivered is ahead of what is written
    assert seen[-1] == 99
    assert len(set(seen)) > 5 or data is not IMAGE


COUNT: Final = st.integers(0, 1 << 45)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([None, *Phase]), COUNT, COUNT, COUNT, COUNT | st.none(), COUNT | st.none())),
    st.booleans(),
)
def test_percent_whatever_the_counters_say(
    steps: list[tuple[Phase | None, int, int, int, int | None, int | None]], read_back: bool
) -> None:
    progress = Progress(read_back_wanted=read_back)
    before = 0
    for phase, progress.received, progress.written, progress.read_back, progress.total, progress.image in steps:
        progress.enter(phase)
        assert before <= progress.percent() <= 99
        before = progress.percent()


async def test_the_last_flush_fails(bench: Bench) -> None:
    """The job fails, so the partition must mount nowhere: neither superblock page may stay."""
    log = await log_of_a_restore(bench.image.parent)
    bench.device.fail_at = len(log) - 1
    await bench.fails(WriteFailed, IMAGE, 14)
    assert bench.device.head[:BLOCK] == bytes(BLOCK)


async def test_a_write_error_of_the_first_page_that_wrote_it_all_the_same(bench: Bench) -> None:
    log = await log_of_a_restore(bench.image.parent)
    last = len(log) - 2

    def store_anyway(number: int) -> None:
        if number == last:
            bench.device.medium[:BLOCK] = block(0)

    bench.device.before = store_anyway
    bench.device.fail_at = last
    await bench.fails(WriteFailed, IMAGE, 14)
    assert bench.device.head[:BLOCK] == bytes(BLOCK)


async def test_read_back_refused_outside_the_head(bench: Bench) -> None:
    def refuse(number: int) -> None:
        if number == -1 and bench.progress.phase is Phase.READING_BACK:
            raise WriteFailed("reading back failed")

    bench.device.before = refuse
    await bench.fails(WriteFailed, IMAGE, 14)
    assert bench.device.head == ZEROS
