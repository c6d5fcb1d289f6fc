"""Agents that are killed at 200 points of their jobs' lives, and started again each time.

ogCore's simulator, which checks signatures, order and doubles on its own, must hold exactly one final report for each
job, and that report must be true of the disk. Each third time the state directory goes with the agent, as it does with
the power where it lies in memory: then what the partition says is all that is known of the job.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec.structs import replace

from simulator.certificates import Authority
from simulator.ext4 import fill, make_filesystem, used_blocks
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client
from simulator.sample import capture
from simulator.tree import Node, noise
from tests.e2e.killed_room import FILESYSTEM_SIZE, MIB, SECRET, Image, Point, Room, agent_server
from tests.records import record_in

_TOOLS: Final = ("mke2fs", "debugfs", "dumpe2fs", "e2fsck")
_MISSING: Final = [tool for tool in _TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")

KILLS: Final = 200
ROOMS: Final = 4
SEED: Final = 20261124
OGCORE: Final = "127.0.4.1"
CALL: Final = {"dsk": "1", "par": "1", "idi": "1", "nci": "image-test", "ipr": "127.0.0.1", "ids": "0"}
WEBHOOK: Final = "/opengnsys/rest/clients/status/webhook"
UUID: Final = "5b1d2c0e-7f7a-4a58-9d0c-3f1f0e6c7a02"


def schedule(kills: int, operations: int) -> list[Point]:
    """Spread evenly over what an agent asks of its machine for one job, over its reports, and over its time."""
    dice = random.Random(SEED)
    machine = kills * 7 // 10
    points = [
        Point("machine", at=number * operations // machine, when=dice.choice(["before", "middle", "after"]))
        for number in range(machine)
    ]
    reports = ["progress", "final, before it is taken", "final, after it is taken"]
    points += [Point("report", when=reports[number % 3]) for number in range(kills // 10)]
    points += [Point("time", share=dice.random()) for _ in range(kills - len(points))]
    dice.shuffle(points)
    return [replace(point, forgets=number % 3 == 0) for number, point in enumerate(points)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    filesystem = folder / "filesystem"
    make_filesystem(filesystem, FILESYSTEM_SIZE, uuid=UUID, label="")
    fill(filesystem, {"/payload": Node(kind="file", content=noise("payload", 6 * MIB))})
    capture(filesystem, folder / "image-test.img")
    return Image(folder, filesystem.read_bytes(), used_blocks(filesystem))


# --- ogCore -------------------------------------------------------------------------------------------------------


def watching(rooms: dict[str, Room]) -> Middleware:
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        room = rooms.get(request.remote or "")
        if room is None:
            return await handler(request)
        report = json.loads(await request.read()) if request.path == WEBHOOK else {}
        kind = ("final" if "res" in report else "progress") if report else ""
        point = room.point.when if room.point.kind == "report" else ""
        if kind and point in {kind, f"{kind}, before it is taken"}:
            room.send(signal.SIGKILL)
            if point != "progress":
                await room.dead.wait()
                raise web.HTTPServiceUnavailable
        response = await handler(request)
        if report and response.status == 200:
            room.hear(report)
        if point == f"{kind}, after it is taken":
            room.send(signal.SIGKILL)
        if request.path.endswith("/started"):
            room.registered.set()
        return response

    return watch


@asynccontextmanager
async def ogcore(rooms: dict[str, Room], authority: Authority) -> AsyncIterator[str]:
    clients = [Client(name=address, mac="", ip=address) for address in rooms]
    app = await ogcore_app(clients, repository="https://127.0.4.2")
    app.middlewares.append(watching(rooms))
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, OGCORE, 0, ssl_context=authority.server_context(OGCORE)).start()
        yield f"https://{OGCORE}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- the life of a client -----------------------------------------------------------------------------------------


class Caller:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def deploy(self, room: Room) -> str:
        """The job, empty when the agent died before it could answer."""
        url = f"https://{room.address}:8000/CloningEngine/RestaurarImagen"
        with suppress(aiohttp.ClientError):
            async with self._session.post(url, json=CALL) as response:
                assert response.status == 200, await response.text()
                return str((await response.json())["job_id"])
        return ""

    async def jobs(self, room: Room) -> list[dict[str, Any]]:
        with suppress(aiohttp.ClientError):
            async with self._session.get(f"https://{room.address}:8000/jobs") as response:
                assert response.status == 200, await response.text()
                return list((await response.json())["jobs"])
        return []

    async def get(self, url: str) -> Any:
        async with self._session.get(url) as response:
            return await response.json()


async def one_life(room: Room, point: Point, caller: Caller) -> None:
    """An agent that dies at ``point``, while it restores or before; and one more, which tells what became of it."""
    before, others = room.partition, room.others()
    known = set(room.finals)
    await room.start(point)
    late = room.life_s * point.share if point.kind == "time" else 60
    timer = asyncio.get_running_loop().call_later(late, room.send, signal.SIGKILL)
    job_id = "" if room.dead.is_set() else await caller.deploy(room)
    if job_id:
        room.accepted.add(job_id)
        await room.all_reported({job_id})
    timer.cancel()
    await room.kill()
    if point.forgets:
        shutil.rmtree(room.folder / "state")

    await room.start(Point("none"))
    jobs = await caller.jobs(room)
    await room.all_reported({job["job_id"] for job in jobs})
    assert all(job["state"] != "running" for job in jobs)
    new = set(room.finals) - known
    assert len(new) <= 1
    assert room.others() == others
    if point.forgets and job_id and not jobs:
        check_forgotten(room, before, job_id, room.finals[new.pop()] if new else None)
    else:
        assert job_id in {"", *(job["job_id"] for job in jobs)}, "an accepted job is forgotten"
        check_truth(room, before, room.finals[new.pop()] if new else None, jobs)
    await room.noted()
    await room.kill()


def check_forgotten(room: Room, before: bytes, job_id: str, final: dict[str, Any] | None) -> None:
    """Nobody can know any more: nothing was written, or the wipe had not come to its end, or all was written.

    In the last case ogCore may have been told just before.
    """
    after = room.partition
    if final is not None:
        assert (final["job_id"], final["res"], room.image.is_on(after)) == (job_id, "1", True)
        room.outcomes["succeeded"] += 1
        return
    record = record_in(after)
    assert record is None or record.job_id != job_id
    assert after == before or room.image.is_on(after) or after[1024:2048] == bytes(1024)
    room.forgotten.add(job_id)
    room.outcomes["forgotten"] += 1


def check_truth(room: Room, before: bytes, final: dict[str, Any] | None, jobs: list[dict[str, Any]]) -> None:
    after = room.partition
    if final is None:
        assert after == before, "something was written for a job that nobody knows"
        room.outcomes["never accepted"] += 1
        return
    (shown,) = [job for job in jobs if job["job_id"] == final["job_id"]]
    (row,) = [row for row in final["cfg"] if (row["disk"], row["par"]) == ("1", "1")]
    if final["res"] == "1":
        assert room.image.is_on(after), "success is reported, and the disk does not hold the image"
        assert (shown["state"], row["fsi"]) == ("succeeded", "EXT4")
    else:
        assert final["der"].startswith("093-")
        assert shown["state"] == "interrupted"
        assert after == before or after[1024:2048] == bytes(1024), "a failure is reported, and the partition mounts"
        assert after == before or row["fsi"] == "INCOMPLETE"
    room.outcomes[shown["state"]] += 1


async def measured(room: Room, caller: Caller) -> int:
    """One job that nobody disturbs: what its agent asks of the machine, and how long it takes."""
    began = asyncio.get_running_loop().time()
    await room.start(Point("none"))
    job_id = await caller.deploy(room)
    accepted = asyncio.get_running_loop().time()
    await room.all_reported({job_id})
    room.accepted.add(job_id)
    room.life_s = asyncio.get_running_loop().time() - accepted
    assert room.finals[job_id]["res"] == "1"
    assert room.image.is_on(room.partition)
    await room.kill(signal.SIGTERM)
    print(f"one agent and its job: {asyncio.get_running_loop().time() - began:.2f} s, the job {room.life_s:.2f} s")
    return int(room.counter.read_text())


@pytest.mark.timeout(1200)  # a job here takes a second, and twenty times that on a machine that has much else to do
async def test_killed_at_any_point(image: Image, tmp_path: Path, figures: Callable[[str], None]) -> None:
    authority = Authority(tmp_path / "ca")
    headers = {"Authorization": SECRET}
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    async with (
        agent_server() as server,
        aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=aiohttp.ClientTimeout(total=300)
        ) as session,
    ):
        rooms = [Room(tmp_path / f"room-{number}", number, server, image) for number in range(ROOMS)]
        caller = Caller(session)
        async with ogcore({room.address: room for room in rooms}, authority) as url:
            for room in rooms:
                room.configure(url, authority.certificate)
            operations = [await measured(room, caller) for room in rooms]
            points = schedule(KILLS, max(operations))

            async def lives(room: Room, own: list[Point]) -> None:
                for point in own:
                    await one_life(room, point, caller)

            async with asyncio.TaskGroup() as group:
                for number, room in enumerate(rooms):
                    group.create_task(lives(room, points[number::ROOMS]))
            await check_ogcores_books(url, rooms, caller, figures)
    for room in rooms:
        assert "Traceback" not in (room.folder / "log").read_text()


async def check_ogcores_books(url: str, rooms: list[Room], caller: Caller, figures: Callable[[str], None]) -> None:
    """What ogCore has found out by itself."""
    violations = (await caller.get(f"{url}/violations"))["violations"]
    traces = (await caller.get(f"{url}/traces"))["traces"]
    details = [await caller.get(f"{url}/traces/{trace['id']}") for trace in traces]
    reports = sum(len(each["reports"]) for each in details)
    again = sum(each["doubles"] for each in details)
    ends = Counter(each["job_id"] for each in details for report in each["reports"] if "res" in report)
    accepted = set().union(*(room.accepted for room in rooms))
    forgotten = set().union(*(room.forgotten for room in rooms))
    lost = accepted - set(ends) - forgotten
    doubled = [job_id for job_id, count in ends.items() if count > 1]
    outcomes: Counter[str] = sum((room.outcomes for room in rooms), Counter())
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    figures(
        f"killed {KILLS} times: {len(ends)} jobs ({told}; and {len(rooms)} undisturbed), {reports} reports, "
        f"{again} sent again after a kill and known by their event_id, {len(lost)} lost, {len(doubled)} doubled, "
        f"{len(violations)} breaches of the protocol"
    )
    assert violations == []
    assert (lost, doubled) == (set(), [])
    assert outcomes.total() == KILLS
    assert outcomes["interrupted"] > KILLS // 4
    assert outcomes["succeeded"] > 0
