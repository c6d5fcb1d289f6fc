"""Where a restore stands: counted by its stages in their threads, read by whoever shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ogagent.model.job import Bottleneck, ByteCounts, Phase, Timings

_SMOOTHING_S: Final = 3.0


class Books(Protocol):
    """Where a restore's points of no return are written down. Called in a worker thread, each at most once, in order.

    What ``touching`` and ``committing`` raise keeps the disk as it is.
    """

    def touching(self) -> None:
        """The first write comes next."""

    def committing(self, edges: bytes) -> None:
        """All is proven but the partition's edges, which are written next and will be these."""

    def committed(self) -> None:
        """The disk holds the image. Raises nothing: no book can make that untrue."""


class NoBooks:
    """For a restore that nobody asks about afterwards."""

    def touching(self) -> None: ...

    def committing(self, edges: bytes) -> None: ...

    def committed(self) -> None: ...


@dataclass
class Progress:
    """``add`` is for what several threads count; each of the other counters has one writer, so that no lock is needed.
    A reader sees each at some recent value.

    ``job_id`` and ``created`` say whose progress it is; they are empty for a restore by hand.
    """

    read_back_wanted: bool = True
    job_id: str = ""
    created: str = ""
    clock: Callable[[], float] = time.monotonic
    phase: Phase | None = None
    image: int | None = None
    received: int = 0
    """Bytes of the image file from the repository."""
    from_cache: int = 0
    total: int | None = None
    written: int = 0
    reused: int = 0
    """Bytes of blocks that the partition held already; read from the medium, and not written again."""
    read_back: int = 0
    retries: int = 0
    bottleneck: Bottleneck | None = None
    books: Books = field(default_factory=NoBooks)
    touched: bool = False
    """From here on the partition is either whole or INCOMPLETE."""
    committed: bool = False
    """The disk holds the image, whatever else may happen."""
    warnings: list[str] = field(default_factory=list)
    _in_vain: int = 0
    """Bytes that were written by an attempt that came to nothing."""
    _seconds: dict[Phase, float] = field(default_factory=dict)
    _entered: float = 0.0
    _percent: int = 0
    _rate: float = 0.0
    _rated: tuple[float, int] = (0.0, 0)
    _adding: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, phase: Phase | None) -> None:
        now = self.clock()
        if self.phase is not None:
            self._seconds[self.phase] = self._seconds.get(self.phase, 0.0) + now - self._entered
        self.phase, self._entered = phase, now
        self._rated = (now, self._done)
        self._rate = 0.0

    def add(self, *, written: int = 0, reused: int = 0, read_back: int = 0) -> None:
        with self._adding:
            self.written += written
            self.reused += reused
            self.read_back += read_back

    def touch(self) -> None:
        if not self.touched:
            self.books.touching()
            self.touched = True

    def commit(self) -> None:
        self.committed = True
        self.books.committed()

    def begin_again(self) -> None:
        """What was written so far was not the image."""
        self._in_vain = self.laid + self._in_vain

    @property
    def counts(self) -> ByteCounts:
        return ByteCounts(
            image=self.image,
            received=self.received,
            total=self.total,
            written=self.written,
            reused=self.reused,
            read_back=self.read_back,
        )

    @property
    def timings(self) -> Timings:
        seconds = dict(self._seconds)
        if self.phase is not None:
            seconds[self.phase] = seconds.get(self.phase, 0.0) + self.clock() - self._entered
        return Timings(
            checking=round(seconds.get(Phase.CHECKING, 0.0), 3),
            fetching=round(seconds.get(Phase.FETCHING, 0.0), 3),
            flushing=round(seconds.get(Phase.FLUSHING, 0.0), 3),
            reading_back=round(seconds.get(Phase.READING_BACK, 0.0), 3),
            committing=round(seconds.get(Phase.COMMITTING, 0.0), 3),
            caching=round(seconds.get(Phase.CACHING, 0.0), 3),
            bottleneck=self.bottleneck,
        )

    def percent(self) -> int:
        """0 to 99, never less than before: 100 is for the one who knows that the job succeeded."""
        fetched = 75.0 if self.read_back_wanted else 98.0
        match self.phase:
            case Phase.FETCHING:
                now = fetched * self._fetched_share()
            case Phase.FLUSHING:
                now = fetched
            case Phase.READING_BACK:
                now = fetched + (98.0 - fetched) * (self.read_back / self._to_read_back if self._to_read_back else 1.0)
            case Phase.COMMITTING | Phase.CACHING:
                now = 99.0
            case _:
                now = 0.0
        self._percent = max(self._percent, min(int(now), 99))
        return self._percent

    def rate(self) -> int:
        """Bytes a second in the present phase, smoothed over a few seconds."""
        now, (before, done) = self.clock(), self._rated
        if now - before >= 0.2:
            weight = min((now - before) / _SMOOTHING_S, 1.0) if self._rate else 1.0
            self._rate += weight * ((self._done - done) / (now - before) - self._rate)
            self._rated = (now, self._done)
        return max(int(self._rate), 0)

    def eta_s(self) -> int | None:
        """Seconds left of what is to be moved; None while that cannot be told."""
        if self.phase not in (Phase.FETCHING, Phase.READING_BACK) or self.total is None or self._rate <= 0:
            return None
        left = self.total - self._done if self.phase is Phase.FETCHING else self._to_read_back - self.read_back
        if self.phase is Phase.FETCHING and self.read_back_wanted:
            left += self.total - self.reused
        return int(left / self._rate)

    @property
    def laid(self) -> int:
        """Bytes of blocks that are where they belong."""
        return self.written + self.reused - self._in_vain

    @property
    def _to_read_back(self) -> int:
        return self.written - self._in_vain

    @property
    def _done(self) -> int:
        return self.read_back if self.phase is Phase.READING_BACK else self.laid

    def _fetched_share(self) -> float:
        if self.total:
            return min(self.laid / self.total, 1.0)
        return min((self.received + self.from_cache) / self.image, 1.0) if self.image else 0.0
