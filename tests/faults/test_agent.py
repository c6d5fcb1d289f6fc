"""The agent as a process: what it says of a job that failed, and what it still knows after it was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from simulator.faults import FaultFile, parse_fault
from simulator.processes import peer
from simulator.repository.app import repository_app
from tests.as_restored import AS_RESTORED_TOML
from tests.faults.bench import WELL, Bench, Cell, Matrix, mounts
from tests.faults.images import BEFORE, KINDS, image
from tests.faults.odd_disks import ODD_DISKS, make

_WAIT_S: Final = 300
CALL: Final = {"dsk": "1", "par": "2", "idi": "1", "nci": "x", "ipr": "127.0.0.1", "cpt": "83"}
CELL: Final = Cell(data=image("crc32", "zstd"), restored=KINDS["crc32"].restored)

# What goes wrong, the number of the error, and from then on: is the partition incomplete, does it mount.
STORY: Final = (
    ("repository:status=404", 2, False, True),
    ("repository:down", 23, False, True),
    ("repository:flip@0", 33, False, True),
    ("disk:readonly", 14, True, True),
    ("repository:status=404", 2, True, True),
    ("disk:flip@4MiB", 91, True, False),
    ("disk:full@50%=1", 14, True, False),
    ("repository:short@50%", 33, True, False),
    ("", WELL, False, True),
    ("repository:flip@50%", 33, True, False),
    ("", WELL, False, True),
)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_WAIT_S):
        while not await condition():  # noqa: ASYNC110 - another process changes what is looked at
            await asyncio.sleep(0.02)


class Agent:
    """On a disk that is a file. ``faults`` are for it and for the repository."""

    def __init__(self, folder: Path, repository_port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.faults = FaultFile(folder / "faults")
        self.log = folder / "agent.log"
        config = folder / "agent.toml"
        config.write_text(
            f'[server]\naddress = "127.0.0.1"\nport = {self._port}\n'
            '[access]\nmode = "address"\nallow = ["127.0.0.0/8"]\n'
            f'[repository]\nurl = "http://{{ipr}}:{repository_port}/ogrepository/images/{{nci}}.img"\n'
            "[cache]\nrequired = false\n[restore]\nretry_for_s = 1\n"
            f'[state]\ndir = "{folder / "state"}"\n{AS_RESTORED_TOML}'
        )
        disk = folder / "disk"
        arguments = ("--config", config, "--disk", disk, "--faults", folder / "faults")
        self.command = (sys.executable, "-m", "simulator", "agent", *arguments)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))

    async def call(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        async with self._session.request(method, f"https://127.0.0.1:{self._port}{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def refused(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        async with self._session.post(f"https://127.0.0.1:{self._port}{path}", json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def answers(self) -> bool:
        try:
            return bool(await self.call("GET", "/healthz"))
        except aiohttp.ClientError:
            return False

    async def ended(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = {}

        async def look() -> bool:
            job.update(await self.call("GET", f"/jobs/{job_id}"))
            return bool(job["state"] != "running")

        await until(look)
        return job

    async def incomplete(self) -> bool:
        (disk,) = (await self.call("GET", "/disks"))["disks"]
        return bool(disk["partitions"][0]["incomplete"])

    async def deploy(self) -> str:
        return str((await self.call("POST", "/CloningEngine/RestaurarImagen", CALL))["job_id"])

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
async def bench(matrix: Matrix) -> AsyncIterator[Bench]:
    with matrix.folder() as folder:
        yield Bench(folder, CELL)


@asynccontextmanager
async def prepared(bench: Bench) -> AsyncIterator[Agent]:
    folder = bench.disk.parent
    async with TestServer(repository_app(folder, faults=FaultFile(folder / "faults"))) as repository:
        agent = Agent(folder, repository.make_url("/").port or 0)
        agent.faults.write([])
        try:
            yield agent
        finally:
            await agent.close()


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[int]:
    """The number of its process."""
    with peer("agent", agent.command, agent.log) as process:
        await until(agent.answers)
        yield process.pid


async def test_what_the_agent_says(matrix: Matrix, bench: Bench) -> None:
    async with prepared(bench) as agent, running(agent):
        for text, number, incomplete, mountable in STORY:
            agent.faults.write([parse_fault(text)] if text else [])
            with matrix.cell("agent", text):
                job = await agent.ended(await agent.deploy())
                assert job["state"] == ("failed" if number else "succeeded"), job
                assert (job["error"] or {"number": WELL})["number"] == number
                assert await agent.incomplete() is incomplete
                assert bool(mounts(bench.disk)) is mountable
                if number == WELL:
                    assert bench.partition() == CELL.restored
                matrix.endings[number] += 1


@pytest.mark.parametrize("share", [0, 50, 99])
async def test_a_killed_agent(matrix: Matrix, bench: Bench, share: int) -> None:
    """It is killed while it waits for the rest of the image; its successor knows, and a restore makes good."""
    touched = share > 0
    async with prepared(bench) as agent:
        with matrix.cell("agent", f"killed at {share}%"):
            agent.faults.write([parse_fault(f"repository:stall@{share}%")])
            async with running(agent) as pid:
                await agent.deploy()
                if touched:
                    await until(agent.incomplete)
                os.kill(pid, signal.SIGKILL)
            assert bench.partition() == BEFORE or (touched and not mounts(bench.disk))
            agent.faults.write([])
            async with running(agent):
                assert await agent.incomplete() is touched
                assert (await agent.ended(await agent.deploy()))["state"] == "succeeded"
                assert await agent.incomplete() is False
            assert bench.partition() == CELL.restored
            matrix.endings[WELL] += 1


async def test_an_agent_on_a_disk_that_is_not_as_it_should_be(matrix: Matrix, bench: Bench) -> None:
    async with prepared(bench) as agent:
        make(bench.disk, ODD_DISKS["gpt, into the CACHE"])
        before = await asyncio.to_thread(bench.disk.read_bytes)
        async with running(agent):
            (disk,) = (await agent.call("GET", "/disks"))["disks"]
            assert [part["problem"] for part in disk["partitions"]] == [
                "it shares bytes with partition 2, the CACHE",
                "it shares bytes with partition 1",
                "",
            ]
            for path in ("/plan", "/CloningEngine/RestaurarImagen"):
                with matrix.cell("agent", f"odd table {path}"):
                    status, refusal = await agent.refused(path, CALL | {"par": "1"})
                    assert (status, refusal["code"], refusal["number"]) == (409, "partition-overlaps", 3)
                    assert "shares bytes with partition 2, the CACHE" in refusal["error"]
                    matrix.endings[refusal["number"]] += 1
        assert await asyncio.to_thread(bench.disk.read_bytes) == before
