"""A job, as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Self

from msgspec import UNSET, Struct, UnsetType, field

Bottleneck = Literal["network", "crowd", "decompression", "compression", "disk"]


class State(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Phase(StrEnum):
    """Of all functions; each goes through some of them."""

    CHECKING = "checking"
    FETCHING = "fetching"
    FLUSHING = "flushing"
    READING_BACK = "reading-back"
    REDUCING = "reducing"
    CAPTURING = "capturing"
    VERIFYING = "verifying"
    PARTITIONING = "partitioning"
    FORMATTING = "formatting"
    COMMITTING = "committing"
    FINISHING = "finishing"
    CACHING = "caching"
    GROWING = "growing"
    RUNNING = "running"


class ByteCounts(Struct, frozen=True, kw_only=True):
    """``image`` is the size of the image file, ``total`` what the partition will receive, or gives; None until known.
    A capture alone has the last four.
    """

    image: int | None = None
    received: int = 0
    total: int | None = None
    written: int = 0
    reused: int = 0
    read_back: int = 0
    read: int | UnsetType = UNSET
    packed: int | UnsetType = UNSET
    delivered: int | UnsetType = UNSET
    verified: int | UnsetType = UNSET


class Timings(Struct, frozen=True, kw_only=True, rename={"reading_back": "reading-back"}):
    """Seconds in each phase that the function has, and the stage that the others waited for."""

    checking: float | UnsetType = UNSET
    fetching: float | UnsetType = UNSET
    flushing: float | UnsetType = UNSET
    reading_back: float | UnsetType = UNSET
    reducing: float | UnsetType = UNSET
    capturing: float | UnsetType = UNSET
    verifying: float | UnsetType = UNSET
    partitioning: float | UnsetType = UNSET
    formatting: float | UnsetType = UNSET
    committing: float | UnsetType = UNSET
    finishing: float | UnsetType = UNSET
    caching: float | UnsetType = UNSET
    growing: float | UnsetType = UNSET
    running: float | UnsetType = UNSET
    bottleneck: Bottleneck | None = None

    @classmethod
    def of(cls, seconds: Mapping[Phase, float], bottleneck: Bottleneck | None) -> Self:
        found = {phase.replace("-", "_"): round(value, 3) for phase, value in seconds.items()}
        return cls(bottleneck=bottleneck, **found)

    @property
    def seconds(self) -> dict[Phase, float]:
        found = ((phase, getattr(self, phase.replace("-", "_"))) for phase in Phase)
        return {phase: value for phase, value in found if value is not UNSET}


class Sources(Struct, frozen=True, kw_only=True):
    """Where bytes of the image file came from."""

    multicast: int = 0
    peers: int = 0
    repository: int = 0
    cache: int = 0


class JobTarget(Struct, frozen=True, kw_only=True):
    """``partition`` is None where the disk as a whole is meant."""

    disk: int
    partition: int | None
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


StepState = Literal["waiting", "running", "done", "not-needed", "failed"]


class JobStep(Struct, frozen=True, kw_only=True):
    """One of the things that are done at the end of a job, one after the other. ``would`` says for people what it does,
    ``seconds`` how long that took.
    """

    name: str
    state: StepState
    would: str = ""
    seconds: float = 0.0


class Job(Struct, frozen=True, kw_only=True):
    """``rate`` is bytes moved a second, ``eta_s`` None while it cannot be told. Times are UTC, ISO 8601.

    ``target`` is None for a job of the machine as a whole.
    """

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
    target: JobTarget | None
    created: str
    finished: str | None = None
    error: JobError | None = None
    timings: Timings = field(default_factory=Timings)
    warnings: tuple[str, ...] = ()
    """What went wrong without making the job fail."""
    steps: tuple[JobStep, ...] = ()
    """Of phase ``finishing``."""
    sources: Sources | UnsetType = UNSET
    """Of a restore."""
    left: str | UnsetType = UNSET
    """When the image was to come from a crowd and this PC left it before it had all: when, and why."""

    @property
    def final(self) -> bool:
        return self.state is not State.RUNNING
