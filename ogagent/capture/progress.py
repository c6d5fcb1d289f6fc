"""Where a capture stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from ogagent.model.job import ByteCounts, Phase, Timings
from ogagent.model.progress import JobProgress

_SHARES: Final = {Phase.REDUCING: 1.0, Phase.COMMITTING: 98.0, Phase.GROWING: 99.0}
"""In percent, of those that cannot tell how far they are."""
_CAPTURING: Final = 5.0
_COMMITTING: Final = _SHARES[Phase.COMMITTING]


@dataclass
class CaptureProgress(JobProgress):
    """Bytes: ``total`` of blocks in use, ``read`` of those from the partition, ``packed`` of the image made of them,
    ``delivered`` of it to the repository, ``verified`` of what the repository gave back.
    """

    phases: ClassVar[tuple[Phase, ...]] = (
        *(Phase.CHECKING, Phase.REDUCING, Phase.CAPTURING),
        *(Phase.VERIFYING, Phase.COMMITTING, Phase.GROWING),
    )

    verify_wanted: bool = True
    image: int | None = None
    """Of the image file, once it is known."""
    total: int | None = None
    read: int = 0
    packed: int = 0
    delivered: int = 0
    verified: int = 0

    def begin_again(self) -> None:
        """What was delivered is not there."""
        self.retries += 1
        self.image = None
        self.read = self.packed = self.delivered = self.verified = 0

    @property
    def counts(self) -> ByteCounts:
        return ByteCounts(
            image=self.image,
            total=self.total,
            read=self.read,
            packed=self.packed,
            delivered=self.delivered,
            verified=self.verified,
        )

    @property
    def timings(self) -> Timings:
        """Of the phases that it goes through: the model is not always made smaller, nor the image read back."""
        gone = {phase: seconds for phase, seconds in super().timings.seconds.items() if phase in self._seconds}
        if self.phase is not None:
            gone[self.phase] = super().timings.seconds[self.phase]
        return Timings.of(gone, self.bottleneck)

    def share(self) -> float:
        captured = 70.0 if self.verify_wanted else _COMMITTING
        match self.phase:
            case Phase.CAPTURING:
                return _CAPTURING + (captured - _CAPTURING) * _part(self.read, self.total)
            case Phase.VERIFYING:
                return captured + (_COMMITTING - captured) * _part(self.verified, self.image)
            case phase:
                return 0.0 if phase is None else _SHARES.get(phase, 0.0)

    @property
    def done(self) -> int:
        return self.verified if self.phase is Phase.VERIFYING else self.read

    @property
    def left(self) -> int | None:
        if self.phase is Phase.VERIFYING:
            return None if self.image is None else self.image - self.verified
        return None if self.phase is not Phase.CAPTURING or self.total is None else self.total - self.read


def _part(done: int, total: int | None) -> float:
    return min(done / total, 1.0) if total else 0.0
