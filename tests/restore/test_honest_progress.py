"""What is told of a restore only rises, and stays below 100 until the disk is done."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import igzip

from ogagent.model.job import Phase
from ogagent.restore.progress import Progress
from tests.restore.one_image import IMAGE, SIZE, raw_ext4
from tests.restore.recording_device import Bench


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
