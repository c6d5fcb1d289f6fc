"""A job followed over real sockets: every reader gets its end, and none of them holds up anybody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace
from pytest_aiohttp.plugin import AiohttpClient

from ogagent.errors import JobNotFound
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.http.events import EVENTS, READERS, JobEvents
from ogagent.http.telling import Heard
from ogagent.jobs.board import Board
from ogagent.jobs.work import Order, Work
from ogagent.model.disk import Inventory
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.system.metrics import Metrics
from tests.http.asked import AskedFunctions

SECRET = "0123456789abcdef" * 4
JOB = Job(
    job_id="RestaurarImagen-00000001", function="RestaurarImagen", state=State.RUNNING, phase=None, progress=0,
    bytes=ByteCounts(), rate=0, eta_s=None, retries=0, request={},
    target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity="i"), created="2026-11-24T10:00:00.000Z",
)  # fmt: skip
PATH = f"/jobs/{JOB.job_id}/events"


class ShownJobs:
    """Implements ``ogagent.http.handlers.Jobs`` with the real board; nothing runs."""

    def __init__(self) -> None:
        self.board = Board([JOB])
        self.busy = False

    def jobs(self) -> list[Job]:
        return self.board.newest_first()

    def job(self, job_id: str) -> Job:
        return self.board.job(job_id)

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        return await self.board.changed(job_id, seen)

    async def plan(self, order: Order) -> Work:
        raise NotImplementedError(order)

    async def start(self, order: Order) -> Job:
        raise NotImplementedError(order)

    async def cancel(self, job_id: str) -> Job:
        raise NotImplementedError(job_id)

    def holding(self, order: Order) -> AbstractAsyncContextManager[Work]:
        raise NotImplementedError(order)

    async def inventory(self) -> Inventory:
        return Inventory()

    async def telling(self, _: Inventory) -> Heard:
        return partial(asyncio.sleep, 0)

    def show(self, progress: int, state: State = State.RUNNING, **more: Any) -> None:
        self.board.show(replace(JOB, progress=progress, state=state, **more))


@pytest.fixture
async def jobs() -> ShownJobs:
    return ShownJobs()


@pytest.fixture
def events() -> JobEvents:
    return JobEvents(ping_s=0.02, patience_s=5)


@pytest.fixture
async def agent(aiohttp_client: AiohttpClient, jobs: ShownJobs, events: JobEvents) -> TestClient[Any, Any]:
    app = make_app(jobs, AskedFunctions(), SecretAccess(SECRET), Metrics())
    app[EVENTS] = events
    return await aiohttp_client(app, headers={"Authorization": SECRET})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - the other end of a socket announces nothing
            await asyncio.sleep(0.002)


async def next_job(response: ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(300):
        async for line in response.content:
            if line.startswith(b"data: "):
                return dict(json.loads(line.removeprefix(b"data: ")))
    raise EOFError


async def test_each_change_and_then_the_end(agent: TestClient[Any, Any], jobs: ShownJobs) -> None:
    async with agent.get(PATH) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert (await next_job(response))["progress"] == 0
        jobs.show(1)
        assert (await next_job(response))["progress"] == 1
        jobs.show(100, State.SUCCEEDED)
        last = await next_job(response)
        assert (last["state"], last["progress"]) == ("succeeded", 100)
        with pytest.raises(EOFError):
            await next_job(response)


async def test_only_the_latest_state_counts(agent: TestClient[Any, Any], jobs: ShownJobs) -> None:
    async with agent.get(PATH) as response:
        await next_job(response)
        for progress in range(1, 50):
            jobs.show(progress)
        assert (await next_job(response))["progress"] == 49


async def test_a_job_that_has_ended(agent: TestClient[Any, Any], jobs: ShownJobs) -> None:
    jobs.show(41, State.INTERRUPTED)
    async with agent.get(PATH) as response:
        text = await response.text()
    (line, *nothing) = text.splitlines()
    assert json.loads(line.removeprefix("data: "))["state"] == "interrupted"
    assert nothing == [""]


async def test_silence_is_broken_by_a_comment(agent: TestClient[Any, Any]) -> None:
    async with agent.get(PATH) as response, asyncio.timeout(300):
        await next_job(response)
        assert await response.content.readline() == b"\n"
        assert (await response.content.readline()).startswith(b":")


async def test_a_job_that_nobody_knows(agent: TestClient[Any, Any], events: JobEvents) -> None:
    async with agent.get("/jobs/RestaurarImagen-ffffffff/events") as response:
        assert (response.status, (await response.json())["code"]) == (404, "job-not-found")
    assert events.readers == 0


async def test_a_head_request_waits_for_nothing(agent: TestClient[Any, Any]) -> None:
    async with agent.head(PATH) as response:
        assert response.status == 405


async def test_many_readers_but_not_any_number(agent: TestClient[Any, Any], jobs: ShownJobs, events: JobEvents) -> None:
    readers = [await agent.get(PATH) for _ in range(READERS)]
    async with agent.get(PATH) as response:
        assert (response.status, (await response.json())["code"]) == (429, "too-many-requests")
    jobs.show(100, State.SUCCEEDED)
    for reader in readers:
        assert "succeeded" in await reader.text()
    await until(lambda: events.readers == 0)


async def test_a_reader_that_vanishes_is_forgotten(agent: TestClient[Any, Any], events: JobEvents) -> None:
    response = await agent.get(PATH)
    await next_job(response)
    response.close()
    await until(lambda: events.readers == 0)


async def test_a_reader_that_does_not_read_harms_nobody(
    agent: TestClient[Any, Any], jobs: ShownJobs, events: JobEvents
) -> None:
    server = agent.server
    assert isinstance(server, TestServer)
    loop = asyncio.get_running_loop()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        await loop.sock_connect(lazy, (server.host, server.port))
        await loop.sock_sendall(lazy, f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {SECRET}\r\n\r\n".encode())
        await until(lambda: events.readers == 1)
        async with agent.get(PATH) as response:
            await next_job(response)
            for progress in range(1, 100_000):
                if events.readers == 1:
                    break
                jobs.show(progress % 100, request={"ids": "x" * 30_000})
                assert (await next_job(response))["progress"] == progress % 100
            assert events.readers == 1, "the lazy one was given up"
            jobs.show(100, State.SUCCEEDED)
            assert (await next_job(response))["state"] == "succeeded"
        await until(lambda: events.readers == 0)


async def test_whoever_waits_for_a_change_leaves_nothing_behind() -> None:
    board = Board([JOB])
    waiting = [asyncio.create_task(board.changed(JOB.job_id, JOB)) for _ in range(1000)]
    await asyncio.sleep(0)
    assert len(board._changes) == 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    board.show(replace(JOB, progress=1))
    assert board._changes == {}
    with pytest.raises(JobNotFound):
        await board.changed("nobody", None)
