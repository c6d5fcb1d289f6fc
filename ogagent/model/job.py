"""A job, as the API shows it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

Bottleneck = Literal["network", "decompression", "disk"]


class State(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Phase(StrEnum):
    """In the order in which a job goes through them."""

    CHECKING = "checking"
    FETCHING = "fetching"
    FLUSHING = "flushing"
    READING_BACK = "reading-back"
    COMMITTING = "committing"
    CACHING = "caching"


class ByteCounts(Struct, frozen=True, kw_only=True):
    """``image`` is the size of the image file, ``total`` what the partition will receive; None until known."""

    image: int | None = None
    received: int = 0
    total: int | None = None
    written: int = 0
    reused: int = 0
    read_back: int = 0


class Timings(Struct, frozen=True, kw_only=True, rename={"reading_back": "reading-back"}):
    """Seconds in each phase, and the stage that the others waited for."""

    checking: float = 0.0
    fetching: float = 0.0
    flushing: float = 0.0
    reading_back: float = 0.0
    committing: float = 0.0
    caching: float = 0.0
    bottleneck: Bottleneck | None = None

    @property
    def phases(self) -> tuple[float, ...]:
        return (self.checking, self.fetching, self.flushing, self.reading_back, self.committing, self.caching)


class JobTarget(Struct, frozen=True, kw_only=True):
    disk: int
    partition: int
    device: str
    identity: str


class JobError(Struct, frozen=True, kw_only=True):
    number: int
    code: str
    message: str
    hint: str = ""

    @property
    def der(self) -> str:
        """As OpenGnsys reports it: number, dash, text."""
        return f"{self.number:03d}-{self.message}"


class Job(Struct, frozen=True, kw_only=True):
    """``rate`` is image bytes written a second, ``eta_s`` None while it cannot be told. Times are UTC, ISO 8601."""

    job_id: str
    function: str
    state: State
    phase: Phase | None
    progress: int
    bytes: ByteCounts
    rate: int
    eta_s: int | None
    retries: int
    request: dict[str, str]
    target: JobTarget
    created: str
    finished: str | None = None
    error: JobError | None = None
    timings: Timings = field(default_factory=Timings)
    warnings: tuple[str, ...] = ()
    """What went wrong without making the job fail."""

    @property
    def final(self) -> bool:
        return self.state is not State.RUNNING
