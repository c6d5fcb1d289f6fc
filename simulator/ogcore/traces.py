"""What became of each command: ogCore's book of traces."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from simulator.ogcore.order import Order, place_of
from simulator.ogcore.reports import CANCELLED, CREATE, SUCCEEDED, FinalReport, ProgressReport, Report, function_of
from simulator.ogcore.rules import broken_rules
from simulator.ogcore.views import JobView, StepView, TraceDetails, TraceView, Violation

COMPLETED: Final = "Completed successfully"
CREATED: Final = "Successfully created"
MOST_TRACES: Final = 1000
_MOST_LOOKED_AT: Final = 50
_MOST_LOOKS: Final = 20
_MOST_REPORTS: Final = 1000
_MOST_VIOLATIONS: Final = 1000


class TraceState(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Received(Struct, frozen=True, kw_only=True):
    received: str
    report: Report


class TraceRecord(Order, frozen=True, kw_only=True):
    """What is kept of a trace beyond a restart of ogCore. ``digest`` is that of the final report as it was sent."""

    number: int
    job_id: str
    created: str
    finished: str | None
    refusal: str
    hint: str = ""
    final: FinalReport | None
    digest: str
    job: JobView | None


class Trace:
    """One command. ``refusal`` is why it never became a job, and ``hint`` what to do; the state follows from what was
    received.
    """

    def __init__(self, number: int, order: Order, job_id: str = "") -> None:
        self.id = str(number)
        self.order = order
        self.job_id = job_id
        self.created = now()
        self.finished: str | None = None
        self.refusal = ""
        self.hint = ""
        self.newest: ProgressReport | None = None
        self.final: FinalReport | None = None
        self.last_seq = -1
        self.doubles = 0
        self.reports: deque[Received] = deque(maxlen=_MOST_REPORTS)
        self.violations: deque[Violation] = deque(maxlen=_MOST_VIOLATIONS)
        self.job: JobView | None = None
        self.looks = 0
        self._events: dict[str, bytes] = {}

    @property
    def state(self) -> TraceState:
        if self.final:
            if self.final.res == SUCCEEDED:
                return TraceState.SUCCESS
            return TraceState.CANCELLED if self.final.der == CANCELLED else TraceState.FAILED
        if self.newest:
            return TraceState.IN_PROGRESS
        return TraceState.FAILED if self.refusal else TraceState.PENDING

    @property
    def text(self) -> str:
        if self.final:
            done = CREATED if self.order.function == CREATE else COMPLETED
            return done if self.final.res == SUCCEEDED else self.final.der
        return "" if self.newest else self.refusal

    @property
    def percent(self) -> int:
        newest = self.final or self.newest
        return newest.progress if newest else 0

    @property
    def ended(self) -> bool:
        return self.state not in {TraceState.PENDING, TraceState.IN_PROGRESS}

    @property
    def client(self) -> str:
        return self.order.client

    def refuse(self, reason: str, *, hint: str = "") -> None:
        self.refusal, self.hint = reason, hint
        self.finished = now()

    def receive(self, report: Report, body: bytes) -> list[str]:
        """Takes a report in and returns the rules of the protocol that it breaks; ``body`` is how it was sent."""
        digest = hashlib.sha256(body).digest()
        if report.event_id in self._events:
            self.doubles += 1
            same = self._events[report.event_id] == digest
            return [] if same else [f"event {report.event_id} came again with another content"]
        self._remember(report, digest)
        broken = broken_rules(report, progress=self.newest, final=self.final, last_seq=self.last_seq)
        self._apply(report)
        return broken

    def view(self, *, off: bool) -> TraceView:
        """The line of a list. ``off``: so is its client."""
        return TraceView(**self._members(off=off))

    def details(self, *, off: bool) -> TraceDetails:
        reports = ({"received": entry.received, **msgspec.to_builtins(entry.report)} for entry in self.reports)
        violations = tuple(self.violations)
        more: dict[str, Any] = {
            "members": self.order.members,
            "hint": self.hint if self.text == self.refusal else "",
            "doubles": self.doubles,
            "violations": violations,
            "reports": tuple(reports),
            "job": self.job,
        }
        return TraceDetails(**self._members(off=off), **more)

    def record(self) -> TraceRecord:
        digest = self._events[self.final.event_id].hex() if self.final else ""
        names = ("job_id", "created", "finished", "refusal", "hint", "final", "job")
        own = {name: getattr(self, name) for name in names}
        return TraceRecord(number=int(self.id), digest=digest, **asdict(self.order), **own)

    @classmethod
    def of_record(cls, record: TraceRecord) -> Trace:
        order = Order(**{name: getattr(record, name) for name in Order.__struct_fields__})
        trace = cls(record.number, order, record.job_id)
        trace.created, trace.finished, trace.refusal = record.created, record.finished, record.refusal
        trace.hint, trace.job = record.hint, record.job
        if record.final:
            trace.final, trace.last_seq = record.final, record.final.seq
            trace.reports.append(Received(received=record.finished or "", report=record.final))
            trace._events[record.final.event_id] = bytes.fromhex(record.digest)
        return trace

    def _members(self, *, off: bool) -> dict[str, Any]:
        order = self.order
        what = {"id": self.id, "command": order.command, "client": order.client, "image": order.image}
        how = {"partition": order.partition, "method": order.method, "description": order.description}
        how |= {"session": order.session}
        times = {"job_id": self.job_id, "created": self.created, "finished": self.finished}
        running: dict[str, Any] = {}
        if self.newest and not self.final:
            newest = self.newest
            running = {"phase": newest.phase, "rate": newest.rate, "eta_s": newest.eta_s, "bytes": newest.bytes}
            running["steps"] = tuple(StepView(**asdict(step)) for step in newest.steps)
        elif self.job:
            running = {"steps": self.job.steps, "sources": self.job.sources or {}, "left": self.job.left or ""}
        if off and not self.ended:
            running["silent_since"] = self.reports[-1].received if self.reports else self.created
        return {**what, **how, "state": self.state, "progress": self.percent, "text": self.text, **times, **running}

    def _remember(self, report: Report, digest: bytes) -> None:
        self.reports.append(Received(received=now(), report=report))
        self._events[report.event_id] = digest
        if len(self._events) > _MOST_REPORTS:
            del self._events[next(iter(self._events))]

    def _apply(self, report: Report) -> None:
        """A final report counts whatever its number; progress only when it is news, and nothing after the end."""
        if self.final:
            return
        if isinstance(report, FinalReport):
            self.final, self.finished = report, now()
        elif report.seq > self.last_seq and report.progress >= self.percent:
            self.newest = report
        self.last_seq = max(self.last_seq, report.seq)


class Traces:
    """In memory. Beyond a thousand the oldest one makes room."""

    def __init__(self) -> None:
        self._count = 0
        self._traces: dict[str, Trace] = {}
        self.violations: deque[Violation] = deque(maxlen=_MOST_VIOLATIONS)

    def open(self, order: Order, job_id: str = "") -> Trace:
        self._count += 1
        trace = Trace(self._count, order, job_id)
        self._traces[trace.id] = trace
        if len(self._traces) > MOST_TRACES:
            del self._traces[next(iter(self._traces))]
        return trace

    def restore(self, record: TraceRecord) -> None:
        self._count = max(self._count, record.number)
        self._traces[str(record.number)] = Trace.of_record(record)

    def numbered(self, trace_id: str) -> Trace | None:
        return self._traces.get(trace_id)

    def of_report(self, client: str, report: Report) -> Trace:
        """By ogCore's own id for the trace, by job; a new one for a job that somebody else started."""
        trace = self._traces.get(report.ids)
        if trace and trace.client == client and trace.job_id in {"", report.job_id}:
            trace.job_id = report.job_id
            return trace
        for trace in reversed(self._traces.values()):
            if (trace.client, trace.job_id) == (client, report.job_id):
                return trace
        place = place_of(report.dsk, report.par) if isinstance(report, FinalReport) else ""
        order = Order(client=client, function=function_of(report.job_id), partition=place)
        return self.open(order, report.job_id)

    def select(self, wanted: Mapping[str, str]) -> list[Trace]:
        """Newest first. ``wanted`` holds ``status``, ``command``, ``client`` and ``session``, any of them."""
        found = (trace for trace in reversed(self._traces.values()) if _matches(trace, wanted))
        return list(found)

    def running(self, client: str) -> list[Trace]:
        return [trace for trace in self._traces.values() if trace.client == client and trace.job_id and not trace.ended]

    def without_job(self) -> list[Trace]:
        """The newest that ended and whose job nobody has looked at yet."""
        newest = list(self._traces.values())[-_MOST_LOOKED_AT:]
        return [trace for trace in newest if trace.final and trace.job is None and trace.looks < _MOST_LOOKS]

    def violated(self, what: str, *, trace: Trace | None = None, client: str = "") -> None:
        violation = Violation(
            received=now(), what=what, trace=trace.id if trace else "", client=trace.client if trace else client
        )
        self.violations.append(violation)
        if trace:
            trace.violations.append(violation)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _matches(trace: Trace, wanted: Mapping[str, str]) -> bool:
    has = {"status": trace.state.value, "command": trace.order.command, "client": trace.client}
    has["session"] = trace.order.session
    return all(has[name] == value for name, value in wanted.items())
