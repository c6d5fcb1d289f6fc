"""Where a restore stands."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import ClassVar

from ogagent.crowd.arrivals import Givers
from ogagent.errors import MulticastFailed
from ogagent.model.job import ByteCounts, Phase, Sources
from ogagent.model.progress import JobProgress


@dataclass
class Progress(JobProgress):
    """``add`` is for what several threads count.

    From ``touched`` on the partition is either whole or INCOMPLETE; once it is ``committed`` the disk holds the image,
    and has been made ready where that is wanted.
    """

    phases: ClassVar[tuple[Phase, ...]] = (
        *(Phase.CHECKING, Phase.FETCHING, Phase.FLUSHING, Phase.READING_BACK, Phase.COMMITTING),
        *(Phase.CACHING, Phase.FINISHING),
    )

    read_back_wanted: bool = True
    finish_wanted: bool = False
    """The job is done when the partition has been made ready, and not when it holds the image."""
    holds_image: bool = False
    image: int | None = None
    received: int = 0
    """Bytes of the image file from the repository."""
    from_cache: int = 0
    from_crowd: dict[Givers, int] = field(default_factory=lambda: {"multicast": 0, "peers": 0})
    crowd_unproven: bool = False
    """What has come of it was taken for the image, and nobody has proven it yet."""
    whole_first: bool = False
    """All of the image file is here before anything of it is laid down."""
    total: int | None = None
    written: int = 0
    reused: int = 0
    """Bytes of blocks that the partition held already; read from the medium, and not written again."""
    read_back: int = 0
    _in_vain: int = 0
    """Bytes that were written by an attempt that came to nothing."""
    _adding: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, written: int = 0, reused: int = 0, read_back: int = 0) -> None:
        with self._adding:
            self.written += written
            self.reused += reused
            self.read_back += read_back

    def came_from(self, givers: Givers, count: int) -> None:
        self.from_crowd[givers] += count

    def refute_crowd(self) -> bool:
        """The image has shown to be wrong. True when a crowd gave it: the repository's has not been tried."""
        unproven, self.crowd_unproven = self.crowd_unproven, False
        if unproven:
            self.warnings.append(MulticastFailed("what came was not this image: it is taken from the repository").der)
        return unproven

    def proven(self) -> None:
        """The disk holds the image, proven."""
        self.holds_image = True
        if self.finish_wanted:
            self.books.finishing(b"")
        else:
            self.commit()

    def begin_again(self) -> None:
        """What was written so far was not the image."""
        self._in_vain = self.in_place + self._in_vain
        self.whole_first = False

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
    def sources(self) -> Sources:
        return Sources(**self.from_crowd, repository=self.received, cache=self.from_cache)

    def share(self) -> float:
        fetched = 75.0 if self.read_back_wanted else 98.0
        match self.phase:
            case Phase.FETCHING:
                return fetched * self._fetched_share()
            case Phase.FLUSHING:
                return fetched
            case Phase.READING_BACK:
                return fetched + (98.0 - fetched) * (self.read_back / self._to_read_back if self._to_read_back else 1.0)
            case Phase.COMMITTING | Phase.CACHING | Phase.FINISHING:
                return 99.0
            case _:
                return 0.0

    @property
    def done(self) -> int:
        if self.phase is Phase.READING_BACK:
            return self.read_back
        return self.in_place + self._come if self.whole_first else self.in_place

    @property
    def left(self) -> int | None:
        if self.phase is Phase.READING_BACK:
            return self._to_read_back - self.read_back
        if self.phase is not Phase.FETCHING or self.total is None:
            return None
        to_come = max((self.image or 0) - self._come, 0) if self.whole_first else 0
        return to_come + self.total - self.in_place + (self.total - self.reused if self.read_back_wanted else 0)

    @property
    def in_place(self) -> int:
        """Bytes of blocks that are where they belong."""
        return self.written + self.reused - self._in_vain

    @property
    def _come(self) -> int:
        """Bytes of the image file."""
        return self.received + self.from_cache + sum(self.from_crowd.values())

    @property
    def _to_read_back(self) -> int:
        return self.written - self._in_vain

    def _fetched_share(self) -> float:
        fetched = min(self._come / self.image, 1.0) if self.image else 0.0
        if not self.total:
            return fetched
        in_place = min(self.in_place / self.total, 1.0)
        return (fetched + in_place) / 2 if self.whole_first else in_place
