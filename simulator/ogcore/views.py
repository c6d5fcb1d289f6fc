"""What ogCore's REST interface answers with. The console reads the same types, openapi.py describes them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ClientView(Struct, frozen=True, kw_only=True):
    """For everybody: without the secret. ``system`` and ``agent`` are what the client's agent said of itself."""

    name: str
    mac: str
    ip: str
    port: int
    centre: str
    room: str
    state: str
    system: str = ""
    agent: str = ""


class PartitionView(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, ``used`` in percent."""

    partition: int
    device: str = ""
    start: int
    size: int
    code: str = ""
    filesystem: str = ""
    label: str = ""
    name: str = ""
    os: str = ""
    used: int | None = None
    cache: bool = False
    mounted: str | None = None
    incomplete: bool = False
    unfinished: bool = False
    problem: str = ""


class DiskView(Struct, frozen=True, kw_only=True):
    disk: int
    device: str = ""
    identity: str = ""
    model: str = ""
    size: int
    sector_size: int = 512
    table: str | None = None
    partitions: tuple[PartitionView, ...] = ()
    problem: str = ""


class InventoryView(Struct, frozen=True, kw_only=True):
    """What the agent answered last, ``read`` then; ``current`` says whether it answered now. ``why`` it did not."""

    read: str = ""
    current: bool = False
    why: str = ""
    disks: tuple[DiskView, ...] = ()


class ComponentView(Struct, frozen=True, kw_only=True):
    """``code`` is OpenGnsys' own for the kind of part."""

    code: str
    text: str


class HardwareView(Struct, frozen=True, kw_only=True):
    """What the agent told last, ``told`` then; empty for never."""

    told: str = ""
    components: tuple[ComponentView, ...] = ()


class PackageView(Struct, frozen=True, kw_only=True):
    name: str
    version: str = ""


class SoftwareView(Struct, frozen=True, kw_only=True):
    """Of the system on one partition, as the agent told last."""

    disk: int
    partition: int
    told: str
    system: str
    packages: tuple[PackageView, ...] = ()


class PreviousView(Struct, frozen=True, kw_only=True):
    """What an image was before it was replaced. ``modified`` in ISO 8601, empty where the repository does not tell."""

    size: int
    modified: str = ""


class ImageView(Struct, frozen=True, kw_only=True):
    """``size`` in bytes. A corrupt image is not offered; ``reason`` tells what is wrong with it.

    ``created`` and what goes with it are of ogCore's own memory, empty for an image that it did not see created.
    ``locked``: somebody writes it now. ``put_back``: ogCore would put ``previous`` in its place.
    """

    id: str
    name: str
    state: str
    offered: bool
    reason: str = ""
    size: int
    container: str = ""
    format: str = ""
    filesystem: str = ""
    data_size: int | None = None
    origin: str = ""
    modified: str = ""
    description: str = ""
    system: str = ""
    created_from: str = ""
    created: str = ""
    digest: str = ""
    previous: PreviousView | None = None
    locked: bool = False
    put_back: bool = False


class SourceView(Struct, frozen=True, kw_only=True):
    """The partition that an image would be made of."""

    disk: int
    partition: int
    device: str = ""


class ReplacedView(Struct, frozen=True, kw_only=True):
    size: int


class CapturePlan(Struct, frozen=True, kw_only=True):
    """What the agent would do to create an image. ``used`` and ``room`` in bytes, None where nobody knows.
    ``reduce``: the file system becomes smaller for the image, and as large as it was after it.
    """

    target: SourceView
    destination: str
    filesystem: str
    used: int | None = None
    replaces: ReplacedView | None = None
    room: int | None = None
    reduce: bool = False
    warnings: tuple[str, ...] = ()


class StepView(Struct, frozen=True, kw_only=True):
    """One of the things that make a restored partition ready; ``state`` is that of the agent."""

    name: str
    state: str
    would: str = ""
    seconds: float = 0.0


class JobErrorView(Struct, frozen=True, kw_only=True):
    number: int
    code: str
    message: str
    hint: str = ""


class JobView(Struct, frozen=True, kw_only=True):
    """A job as the agent shows it. ``timings`` holds seconds by phase, and the bottleneck; ``sources`` the bytes that
    came by multicast, from peers, from the repository and from the CACHE; ``left`` is why it left a session.
    """

    job_id: str
    state: str
    phase: str | None = None
    progress: int = 0
    bytes: dict[str, int | None] = {}
    rate: int = 0
    eta_s: int | None = None
    retries: int = 0
    error: JobErrorView | None = None
    timings: dict[str, float | str | None] = {}
    warnings: tuple[str, ...] = ()
    steps: tuple[StepView, ...] = ()
    sources: dict[str, int] | None = None
    left: str | None = None


class TraceView(Struct, frozen=True, kw_only=True):
    """One command. ``rate`` in bytes a second, ``eta_s`` None while it cannot be told; times in UTC, ISO 8601.
    ``session`` is an id, ``sources`` and ``left`` are of an ended job, ``silent_since`` of one whose client is off.
    """

    id: str
    command: str
    client: str
    image: str
    partition: str
    method: str
    description: str = ""
    session: str = ""
    job_id: str
    state: str
    progress: int
    text: str
    created: str
    finished: str | None
    phase: str | None = None
    rate: int = 0
    eta_s: int | None = None
    bytes: dict[str, int | None] = {}
    steps: tuple[StepView, ...] = ()
    sources: dict[str, int] = {}
    left: str = ""
    silent_since: str = ""


class Violation(Struct, frozen=True, kw_only=True):
    """A breach of the protocol. ``trace`` and ``client`` are empty where they cannot be known."""

    received: str
    what: str
    trace: str = ""
    client: str = ""


class TraceDetails(TraceView, frozen=True, kw_only=True):
    """``members`` are those of the call, none when somebody else made it. ``reports`` are those that were received,
    oldest first; ``doubles`` came again and count once. ``hint``: what to do about a refusal.
    """

    members: dict[str, Any]
    hint: str = ""
    doubles: int
    violations: tuple[Violation, ...]
    reports: tuple[dict[str, Any], ...]
    job: JobView | None = None


class ClientList(Struct, frozen=True):
    clients: tuple[ClientView, ...]


class SoftwareList(Struct, frozen=True):
    software: tuple[SoftwareView, ...]


class ImageList(Struct, frozen=True):
    images: tuple[ImageView, ...]


class TraceList(Struct, frozen=True):
    traces: tuple[TraceView, ...]


class ViolationList(Struct, frozen=True):
    violations: tuple[Violation, ...]


class Accepted(Struct, frozen=True):
    job_id: str
    trace: str


class Cancelled(Struct, frozen=True):
    job_id: str
    state: str
    trace: str


class Refused(Struct, frozen=True, kw_only=True):
    """``error`` in the words of whoever refused, the agent with its ``code`` and ``hint`` where it was the agent."""

    error: str
    code: str = ""
    hint: str = ""
    trace: str = ""


class RoomOutcome(Refused, frozen=True, kw_only=True):
    """Of one client, with the HTTP status that it alone would have had: ``job_id``, or else an error."""

    client: str
    status: int
    error: str = ""
    job_id: str = ""


class RoomAnswer(Struct, frozen=True):
    """``method`` is what the agents were told."""

    session: str
    method: str
    outcomes: tuple[RoomOutcome, ...]
