"""What is counted, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from msgspec import UNSET
from prometheus_client import CollectorRegistry, Counter, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ogagent import __version__
from ogagent.model.job import Job, Sources

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_BYTE_STAGES: Final = ("received", "written", "reused", "read_back", "read", "packed", "delivered", "verified")


class Backlog(Protocol):
    """Final reports on their way to ogCore."""

    @property
    def depth(self) -> int: ...

    @property
    def oldest_s(self) -> float: ...

    @property
    def delivered(self) -> int: ...

    @property
    def refused(self) -> int: ...


Given = Callable[[], Mapping[str, int]]
"""Bytes that others were given while no job ran, by what for."""


class Metrics:
    """Counts from the start of the agent; to be called on the event loop."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._jobs = Counter("ogagent_jobs", "Jobs that have ended", ["outcome"], registry=registry)
        self._bytes = Counter("ogagent_job_bytes", "Bytes of image, by stage", ["stage"], registry=registry)
        self._sources = Counter(
            "ogagent_image_bytes", "Bytes of image files, by where they came from", ["source"], registry=registry
        )
        self._seconds = Counter("ogagent_job_seconds", "Seconds spent, by phase", ["phase"], registry=registry)
        self._bottleneck = Counter(
            "ogagent_job_bottleneck", "Jobs by the stage that the others waited for", ["stage"], registry=registry
        )
        self._retries = Counter("ogagent_source_retries", "Broken or stalled connections taken up", registry=registry)
        self._refused = Counter("ogagent_refused_calls", "Calls that were turned down", ["code"], registry=registry)
        Info("ogagent_build", "This agent", registry=registry).info({"version": __version__})

    def watch(self, running: Callable[[], int], backlog: Callable[[], Backlog], given: Given = dict) -> None:
        self._registry.register(_Present(running, backlog, given))

    def job_moved(self, before: Job, after: Job) -> None:
        for stage in _BYTE_STAGES:
            now, then = getattr(after.bytes, stage), getattr(before.bytes, stage)
            if now is not UNSET:
                self._bytes.labels(stage.replace("_", "-")).inc(max(now - then, 0))
        if after.sources is not UNSET:
            for source in Sources.__struct_fields__:
                then = 0 if before.sources is UNSET else getattr(before.sources, source)
                self._sources.labels(source).inc(max(getattr(after.sources, source) - then, 0))
        earlier = before.timings.seconds
        for phase, seconds in after.timings.seconds.items():
            self._seconds.labels(phase.value).inc(max(seconds - earlier.get(phase, 0.0), 0.0))
        self._retries.inc(max(after.retries - before.retries, 0))

    def job_ended(self, job: Job) -> None:
        self._jobs.labels(job.state.value).inc()
        if job.timings.bottleneck:
            self._bottleneck.labels(job.timings.bottleneck).inc()

    def call_refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Present(Collector):
    """What is not counted, but as it is when somebody asks."""

    def __init__(self, running: Callable[[], int], backlog: Callable[[], Backlog], given: Given) -> None:
        self._running = running
        self._given = given
        self._backlog = backlog

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("ogagent_jobs_running", "Jobs that run now", self._running())
        backlog = self._backlog()
        yield GaugeMetricFamily("ogagent_outbox_depth", "Final reports that wait for ogCore", backlog.depth)
        yield GaugeMetricFamily("ogagent_outbox_oldest_seconds", "How long the oldest of them has", backlog.oldest_s)
        reports = CounterMetricFamily("ogagent_reports", "Reports that ogCore has answered", labels=["answer"])
        reports.add_metric(["delivered"], backlog.delivered)
        reports.add_metric(["refused"], backlog.refused)
        yield reports
        uploaded = CounterMetricFamily(
            "ogagent_uploaded_bytes",
            "Bytes of images of the CACHE that others were given, by what for",
            labels=["source"],
        )
        for source, count in self._given().items():
            uploaded.add_metric([source], count)
        yield uploaded
