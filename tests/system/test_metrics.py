"""What Prometheus reads."""

from __future__ import annotations

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from ogagent import __version__
from ogagent.model.job import ByteCounts, Job, JobTarget, Phase, Sources, State, Timings
from ogagent.ogcore.outbox import Backlog
from ogagent.system.metrics import Metrics

JOB = Job(
    job_id="RestaurarImagen-00000001", function="RestaurarImagen", state=State.RUNNING, phase=Phase.FETCHING,
    progress=0, bytes=ByteCounts(), rate=0, eta_s=None, retries=0, request={},
    target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity="i"), created="2026-11-24T10:00:00.000Z",
)  # fmt: skip


def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.text().decode())
    found = [sample for family in families for sample in family.samples if not sample.name.endswith("_created")]
    return {sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value for sample in found}


def test_a_job_as_it_moves_and_ends() -> None:
    metrics = Metrics()
    half = replace(
        JOB, bytes=ByteCounts(received=10, written=30), retries=2, timings=Timings(fetching=1.5),
        sources=Sources(peers=7),
    )  # fmt: skip
    done = replace(
        JOB, state=State.SUCCEEDED, bytes=ByteCounts(received=20, written=60, reused=5, read_back=60), retries=3,
        timings=Timings(fetching=2.0, reading_back=0.5, bottleneck="disk"), sources=Sources(peers=9, repository=20),
    )  # fmt: skip
    for before, after in ((JOB, half), (half, done)):
        metrics.job_moved(before, after)
    metrics.job_ended(done)
    metrics.call_refused("disk-busy")
    metrics.call_refused("disk-busy")
    found = samples(metrics)
    expected = {
        "ogagent_jobs_total succeeded": 1, "ogagent_job_bytes_total received": 20,
        "ogagent_job_bytes_total written": 60, "ogagent_image_bytes_total peers": 9,
        "ogagent_image_bytes_total repository": 20,
        "ogagent_job_bytes_total reused": 5, "ogagent_job_bytes_total read-back": 60,
        "ogagent_job_seconds_total fetching": 2.0, "ogagent_job_seconds_total reading-back": 0.5,
        "ogagent_job_bottleneck_total disk": 1, "ogagent_source_retries_total": 3,
        "ogagent_refused_calls_total disk-busy": 2, f"ogagent_build_info {__version__}": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_what_is_asked_for_each_time() -> None:
    metrics = Metrics()
    backlog = Backlog(depth=3, oldest_s=12.5, delivered=40, refused=1)
    running = 1
    metrics.watch(lambda: running, lambda: backlog, lambda: {"idle": 7})
    assert samples(metrics)["ogagent_jobs_running"] == 1
    assert samples(metrics)["ogagent_uploaded_bytes_total idle"] == 7
    running, backlog = 0, Backlog(delivered=43, refused=1)
    found = samples(metrics)
    assert found["ogagent_jobs_running"] == 0
    assert (found["ogagent_outbox_depth"], found["ogagent_outbox_oldest_seconds"]) == (0, 0)
    assert (found["ogagent_reports_total delivered"], found["ogagent_reports_total refused"]) == (43, 1)


def test_two_agents_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.call_refused("disk-busy")
    assert "ogagent_refused_calls_total disk-busy" not in samples(other)
