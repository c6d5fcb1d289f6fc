"""Where a job stands: counted by its stages in their threads, read by whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from msgspec import UNSET, UnsetType

from ogagent.model.job import Bottleneck, ByteCounts, JobStep, Phase, Sources, Timings

_SMOOTHING_S: Final = 3.0


class Books(Protocol):
    """Where a job's points of no return are written down. Called in a worker thread, in order.

    What ``change_begins`` and ``committing`` raise keeps everything as it is.
    """

    def change_begins(self) -> None:
        """The first change comes next."""

    def committing(self, note: bytes) -> None:
        """What comes next is what makes it done. With ``note`` an agent that starts after this one's death can tell
        whether it was, or can bring it to an end.
        """

    def noting(self, note: bytes) -> None:
        """While it is committing or finishing: this instead. May be called often."""

    def finishing(self, note: bytes) -> None:
        """What was begun with ``committing`` has come to its end, and is of no use before something is done that may be
        repeated. ``note`` as there.
        """

    def committed(self) -> None:
        """It is done. Raises nothing: no book can make that untrue."""


class NoBooks:
    """For work that nobody asks about afterwards."""

    def change_begins(self) -> None: ...

    def committing(self, note: bytes) -> None: ...

    def noting(self, note: bytes) -> None: ...

    def finishing(self, note: bytes) -> None: ...

    def committed(self) -> None: ...


@dataclass
class JobProgress:
    """``job_id`` and ``created`` say whose progress it is; they are empty for what is done by hand.

    Each counter has one writer, so that no lock is needed. A reader sees each at some recent value.
    """

    phases: ClassVar[tuple[Phase, ...]] = (Phase.RUNNING,)
    """Those that it may go through, in order."""

    job_id: str = ""
    created: str = ""
    clock: Callable[[], float] = time.monotonic
    phase: Phase | None = None
    retries: int = 0
    bottleneck: Bottleneck | None = None
    books: Books = field(default_factory=NoBooks)
    touched: bool = False
    """Something has been changed, or may have been."""
    committed: bool = False
    """It is done, whatever else may happen."""
    warnings: list[str] = field(default_factory=list)
    steps: list[JobStep] = field(default_factory=list)
    left_crowd: str | UnsetType = UNSET
    """When and why, if it did."""
    _seconds: dict[Phase, float] = field(default_factory=dict)
    _entered: float = 0.0
    _percent: int = 0
    _rate: float = 0.0
    _rated: tuple[float, int] = (0.0, 0)

    def enter(self, phase: Phase | None) -> None:
        now = self.clock()
        if self.phase is not None:
            self._seconds[self.phase] = self._seconds.get(self.phase, 0.0) + now - self._entered
        self.phase, self._entered = phase, now
        self._rated = (now, self.done)
        self._rate = 0.0

    def change_begins(self) -> None:
        if not self.touched:
            self.books.change_begins()
            self.touched = True

    def commit(self) -> None:
        self.committed = True
        self.books.committed()

    def conclude(self) -> None:
        """It is done, and was of a kind that cannot be half done: no book has to know."""
        self.committed = True

    @property
    def counts(self) -> ByteCounts:
        return ByteCounts()

    @property
    def sources(self) -> Sources | UnsetType:
        return UNSET

    @property
    def timings(self) -> Timings:
        seconds = dict(self._seconds)
        if self.phase is not None:
            seconds[self.phase] = seconds.get(self.phase, 0.0) + self.clock() - self._entered
        return Timings.of({phase: seconds.get(phase, 0.0) for phase in self.phases}, self.bottleneck)

    @property
    def done(self) -> int:
        """Bytes that the present phase has moved."""
        return 0

    @property
    def left(self) -> int | None:
        """Bytes that are still to be moved, in this phase and those after it; None while that cannot be told."""
        return None

    def share(self) -> float:
        """How much of a hundred is done, by what is known now."""
        return 0.0

    def percent(self) -> int:
        """0 to 99, never less than before: 100 is for the one who knows that the job succeeded."""
        self._percent = max(self._percent, min(int(self.share()), 99))
        return self._percent

    def rate(self) -> int:
        """Bytes a second in the present phase, smoothed over a few seconds."""
        now, (before, done) = self.clock(), self._rated
        if now - before >= 0.2:
            weight = min((now - before) / _SMOOTHING_S, 1.0) if self._rate else 1.0
            self._rate += weight * ((self.done - done) / (now - before) - self._rate)
            self._rated = (now, self.done)
        return max(int(self._rate), 0)

    def eta_s(self) -> int | None:
        left = self.left
        return None if left is None or self._rate <= 0 else int(left / self._rate)
