"""What stands on a partition between the wipe of its edges and their commit: whose restore this is, no more."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.record import LENGTH, PLACE, disk_mark
from ogagent.errors import ImageCorrupt, ReadBackDiffers, WriteFailed
from tests.records import record_in
from tests.restore.one_image import IMAGE, MIB, SIZE, ZEROS, flipped
from tests.restore.recording_device import WIPE, Bench, cancelled_at, log_of_a_restore

JOB_ID: Final = "RestaurarImagen-dfa42888"
CREATED: Final = "2026-11-24T10:00:00.000Z"
EMPTY_END: Final = bytes(MIB)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.progress.job_id, bench.progress.created = JOB_ID, CREATED
    return bench


def says_whose_it_is(bench: Bench) -> bool:
    record = record_in(bench.device.medium)
    if record is None:
        return False
    assert (record.job_id, record.started, record.image, record.reported) == (JOB_ID, CREATED, "x", False)
    assert (record.function, record.disk, record.size) == ("RestaurarImagen", disk_mark("wwn-1"), SIZE)
    assert record.request == {
        "nfn": "RestaurarImagen", "dsk": "1", "par": "2", "idi": "1", "nci": "x", "ifs": "", "ids": "",
    }  # fmt: skip
    assert bench.device.head == ZEROS
    assert bench.device.medium[-MIB:] == EMPTY_END
    return True


async def test_it_is_there_after_a_failure(bench: Bench) -> None:
    await bench.fails(ImageCorrupt, flipped(IMAGE, len(IMAGE) - 9), 33)
    assert says_whose_it_is(bench)


async def test_it_is_there_after_a_cancel(bench: Bench) -> None:
    assert await cancelled_at(bench, len(WIPE) + 3)
    assert says_whose_it_is(bench)


async def test_it_is_there_again_after_a_commit_that_failed(bench: Bench) -> None:
    log = await log_of_a_restore(bench.image.parent)
    bench.device.fail_at = len(log) - 1
    await bench.fails(WriteFailed, IMAGE, 14)
    assert says_whose_it_is(bench)


@pytest.mark.parametrize("place", [PLACE, PLACE + 40, PLACE + LENGTH - 1])
async def test_a_device_that_loses_it_is_found_out_before_anything_else_is_written(bench: Bench, place: int) -> None:
    bench.device.loses_at = place
    await bench.fails(ReadBackDiffers, IMAGE, 91)
    assert len(bench.device.log) == len(WIPE)


async def test_a_restore_by_hand_is_nobodys_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.fails(ImageCorrupt, flipped(IMAGE, len(IMAGE) - 9), 33)
    record = record_in(bench.device.medium)
    assert record is not None
    assert record.job_id == ""
