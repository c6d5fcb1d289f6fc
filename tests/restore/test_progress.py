"""What is told of a restore while it runs, where the CACHE has a part in it."""

from __future__ import annotations

from itertools import count

from ogagent.model.job import Phase
from ogagent.restore.progress import Progress

MIB = 1 << 20


def test_what_is_done_for_the_next_job_comes_after_the_disk_and_before_100() -> None:
    progress = Progress(clock=count().__next__)
    for phase in (Phase.FETCHING, Phase.COMMITTING, Phase.CACHING):
        progress.enter(phase)
    assert progress.percent() == 99
    progress.enter(None)
    assert progress.timings.caching == 1
    assert sum(progress.timings.seconds.values()) == 3


def test_bytes_of_the_cache_count_as_progress_and_not_as_received() -> None:
    progress = Progress(read_back_wanted=False, image=100)
    progress.enter(Phase.FETCHING)
    progress.from_cache = 50
    assert progress.percent() == 49
    assert progress.counts.received == 0
    progress.received = 50
    assert progress.percent() == 98


def test_beginning_again_never_goes_back() -> None:
    """What has been written in vain has been written, but is no progress."""
    progress = Progress(total=100)
    progress.enter(Phase.FETCHING)
    progress.written = 80
    before = progress.percent()
    assert before == 60
    progress.begin_again()
    progress.enter(Phase.CHECKING)
    assert progress.percent() == before
    progress.enter(Phase.FETCHING)
    progress.written = 80 + 60
    assert progress.percent() == before
    progress.written = 80 + 100
    assert progress.percent() == 75
    assert progress.counts.written == 180
    progress.enter(Phase.READING_BACK)
    progress.read_back = 50
    assert 75 < progress.percent() < 98
    progress.read_back = 100
    assert progress.percent() == 98


def test_an_image_that_comes_as_a_whole_first_shows_how_far_that_is() -> None:
    progress = Progress(image=1000, total=4000, whole_first=True)
    progress.enter(Phase.FETCHING)
    seen = [progress.share()]
    assert (progress.done, progress.left) == (0, 1000 + 4000 + 4000)
    progress.came_from("peers", 500)
    progress.received += 500
    seen.append(progress.share())
    assert (progress.done, progress.left) == (1000, 4000 + 4000)
    for _ in range(2):
        progress.add(written=2000)
        seen.append(progress.share())
    progress.begin_again()
    seen.append(progress.share())
    assert seen == [0, 37.5, 56.25, 75, 0]
