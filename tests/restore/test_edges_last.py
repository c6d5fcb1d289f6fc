"""The edges are written last: until then the partition mounts nowhere, whatever fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.errors import WriteFailed
from ogagent.model.job import Phase
from tests.restore.one_image import BEFORE, BLOCK, IMAGE, MIB, RANDOM, RESTORED, ZEROS, at_edge, block
from tests.restore.recording_device import COMMIT, FLUSH, WIPE, Bench, cancelled_at, first_of_head, log_of_a_restore


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
