"""What ogCore still knows after a restart."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from simulator.errors import LabError
from simulator.ogcore.clients import Clients, ClientState, Started, demo_room
from simulator.ogcore.created import CreatedImages
from simulator.ogcore.order import Order
from simulator.ogcore.reports import FinalReport, ProgressReport
from simulator.ogcore.store import Store
from simulator.ogcore.traces import MOST_TRACES, Traces, TraceState
from simulator.ogcore.views import JobView

JOB = "RestaurarImagen-dfa42888"
AGENT = Started(ip="127.0.2.3", secret="s3cret", fingerprint="00" * 32, osversion="Debian")
FINAL = FinalReport(
    nfn="RESPUESTA_RestaurarImagen", job_id=JOB, ids="1", idi="i", dsk="1", par="2", ifs="1", res="1", der="", cfg=[],
    progress=100, seq=9, event_id="e9", ip="127.0.2.3", mac="",
)  # fmt: skip
PROGRESS = ProgressReport(
    nfn="RestaurarImagen", job_id=JOB, ids="1", progress=40, phase="fetching", bytes={}, rate=1, eta_s=None, seq=3,
    event_id="e3",
)  # fmt: skip
DEPLOYMENT = Order(client="pc1", members={"dsk": "1"}, image="image-test", partition="1/2", method="unicast")


def loaded(path: Path) -> tuple[Store, Clients, Traces]:
    store, clients, traces = Store(path), Clients(demo_room()), Traces()
    store.load(clients, traces, CreatedImages())
    return store, clients, traces


async def test_agents_and_traces_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    store, clients, traces = loaded(path)
    pc1 = clients.named("pc1")
    assert pc1
    pc1.started(AGENT)
    await store.save_agent(pc1)
    trace = traces.open(DEPLOYMENT)
    trace.job_id = JOB
    body = msgspec.json.encode(FINAL)
    assert trace.receive(FINAL, body) == []
    trace.job = JobView(job_id=JOB, state="succeeded", timings={"fetching": 2.5, "bottleneck": "network"})
    await store.save_trace(trace)
    await store.close()
    assert path.stat().st_mode & 0o777 == 0o600

    store, clients, traces = loaded(path)
    pc1 = clients.named("pc1")
    assert pc1
    assert (pc1.agent, pc1.state) == (AGENT, ClientState.INITIALIZING)
    again = traces.numbered("1")
    assert again
    assert (again.state, again.created, again.finished) == (TraceState.SUCCESS, trace.created, trace.finished)
    assert again.job == trace.job
    assert again.receive(FINAL, body) == []
    assert again.doubles == 1
    assert traces.open(Order(client="pc1")).id == "2"
    pc1.stopped()
    await store.save_agent(pc1)
    await store.close()
    store, clients, _ = loaded(path)
    assert [client.agent for client in clients.all()] == [None, None]
    await store.close()


async def test_a_refusal_outlives_a_restart_with_its_hint(tmp_path: Path) -> None:
    store, _, traces = loaded(tmp_path / "memory")
    trace = traces.open(DEPLOYMENT)
    trace.refuse("disk 1 is busy", hint="wait")
    await store.save_trace(trace)
    await store.close()
    store, _, traces = loaded(tmp_path / "memory")
    again = traces.numbered("1")
    assert again
    details = again.details(off=False)
    assert (details.text, details.hint) == ("disk 1 is busy", "wait")
    again.receive(PROGRESS, b"")  # it is a job after all
    assert again.details(off=False).hint == ""
    await store.close()


async def test_what_a_client_told_outlives_a_restart(tmp_path: Path) -> None:
    store, clients, _ = loaded(tmp_path / "memory")
    pc1 = clients.named("pc1")
    assert pc1
    own = {"idi": None, "ifs": None, "sft": "Debian 12\nvim 9.1", "nfn": "RESPUESTA_InventarioSoftware"}
    assert pc1.told.receive(replace(FINAL, **own), "2026-11-24T10:00:00.000Z")
    await store.save_inventories(pc1)
    await store.close()
    store, clients, _ = loaded(tmp_path / "memory")
    again = clients.named("pc1")
    assert again
    assert again.told == pc1.told
    assert again.told.software["1/2"].system == "Debian 12"
    await store.close()


async def test_a_trace_of_an_ogcore_that_knew_deployments_only(tmp_path: Path) -> None:
    store, _, traces = loaded(tmp_path / "memory")
    trace = traces.open(DEPLOYMENT)
    trace.receive(FINAL, b"")
    record = msgspec.to_builtins(trace.record())
    for name in ("function", "members"):
        del record[name]
    row = (1, msgspec.json.encode(record))
    await store._do(lambda: store._database.execute("REPLACE INTO traces VALUES (?, ?)", row))
    await store.close()
    store, _, traces = loaded(tmp_path / "memory")
    again = traces.numbered("1")
    assert again
    assert (again.order.command, again.state) == ("deploy-image", TraceState.SUCCESS)
    await store.close()


async def test_what_was_running_goes_on_with_the_next_report(tmp_path: Path) -> None:
    store, _, traces = loaded(tmp_path / "memory")
    trace = traces.open(DEPLOYMENT)
    trace.job_id = JOB
    trace.receive(PROGRESS, b"")
    await store.save_trace(trace)
    await store.close()
    store, _, traces = loaded(tmp_path / "memory")
    again = traces.of_report("pc1", FINAL)
    assert (again.id, again.state) == ("1", TraceState.PENDING)
    assert again.receive(FINAL, b"") == []
    assert again.state == TraceState.SUCCESS
    await store.close()


async def test_the_oldest_traces_make_room(tmp_path: Path) -> None:
    store, _, traces = loaded(tmp_path / "memory")
    first = traces.open(Order(client="pc1"))
    await store.save_trace(first)
    for _ in range(MOST_TRACES):
        last = traces.open(Order(client="pc1"))
    await store.save_trace(last)
    await store.close()
    store, _, traces = loaded(tmp_path / "memory")
    assert traces.numbered(first.id) is None
    assert traces.numbered(last.id)
    await store.close()


async def test_it_is_not_closed_under_a_write_whose_caller_was_cancelled(tmp_path: Path) -> None:
    store, _, _ = loaded(tmp_path / "memory")
    writing, go_on = threading.Event(), threading.Event()

    def write() -> None:
        writing.set()
        assert go_on.wait(300)

    caller = asyncio.create_task(store._do(write))
    assert await asyncio.to_thread(writing.wait, 20)
    caller.cancel()
    closing = asyncio.create_task(store.close())
    done, _ = await asyncio.wait([caller, closing], timeout=0.05)
    assert not done
    go_on.set()
    await asyncio.wait([caller, closing])
    assert caller.cancelled()
    assert closing.exception() is None


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(b"no database" * 1000)
    with pytest.raises(LabError, match="memory"):
        Store(tmp_path / "memory")
