"""Inventories: what ogCore is told, and what ogAgent's own calls answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from ogagent.errors import DiskBusy, DiskNotFound, FilesystemNotSupported, PartitionNotFound, ToolFailed
from ogagent.functions.function import Equipment
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.model.hardware import Hardware
from ogagent.model.job import State
from ogagent.model.plan import Target
from ogagent.model.software import Package, Software
from ogagent.system.metrics import Metrics
from simulator.ext4 import fill, make_filesystem
from simulator.tree import linux_tree
from tests.functions.running import ENTRY, Agent, running

SECRET = "0123456789abcdef" * 4
UUID = "01936caf-facb-72ad-9446-97e7dbf2b96a"
TOLD = ("/usr", "/usr/lib", "/usr/lib/os-release", "/var", "/var/lib", "/var/lib/dpkg", "/var/lib/dpkg/status")


def install(folder: Path) -> None:
    tree = {path: node for path, node in linux_tree(UUID).items() if path in TOLD}
    make_filesystem(folder / "disk", ENTRY.size, uuid=UUID, label="", offset=ENTRY.start)
    fill(folder / "disk", tree, offset=ENTRY.start)


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running(tmp_path) as agent:
        yield agent


class Held:
    """An insight that takes as long as the test wants."""

    def __init__(self) -> None:
        self.asked, self.word = asyncio.Event(), asyncio.Event()
        self.failure: ToolFailed | None = None

    async def hardware(self) -> Hardware:
        raise AssertionError("nobody asks for hardware here")

    async def software(self, target: Target, filesystem: str) -> Software:
        self.asked.set()
        await self.word.wait()
        if self.failure:
            raise self.failure
        return Software(
            system=f"{target.device} {filesystem}", packages=(Package("a", "1"),), notes=("b was not read",)
        )


async def call(agent: Agent, path: str) -> tuple[int, Any]:
    app = make_app(agent.jobs, agent.functions, SecretAccess(SECRET), Metrics())
    async with (
        TestClient(TestServer(app, host="127.0.0.1"), headers={"Authorization": SECRET}) as client,
        client.get(path) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_hardware(agent: Agent) -> None:
    job, report = await agent.run("InventarioHardware", ids="5")
    assert job.state is State.SUCCEEDED
    assert (report["nfn"], report["res"], report["ids"]) == ("RESPUESTA_InventarioHardware", "1", "5")
    first, second, *others = report["hrd"].splitlines()
    assert (first, second) == ("cha=Desktop", "boo=UEFI")
    assert {line.partition("=")[0] for line in others} >= {"cpu", "mem", "dis"}
    assert "cfg" not in report
    status, found = await call(agent, "/opengnsys/hardware")
    assert status == 200
    assert [each["code"] for each in found["components"]][:2] == ["cha", "boo"]
    assert 8 << 30 in [each["size"] for each in found["components"]]


async def test_software(agent: Agent, tmp_path: Path) -> None:
    install(tmp_path)
    before = (tmp_path / "disk").read_bytes()
    job, report = await agent.run("InventarioSoftware", dsk="1", par="1", ids="5")
    assert (job.state, job.warnings) == (State.SUCCEEDED, ())
    assert (report["nfn"], report["dsk"], report["par"]) == ("RESPUESTA_InventarioSoftware", "1", "1")
    system, *packages = report["sft"].splitlines()
    assert system == "Ubuntu 24.04"
    assert packages == sorted(packages)
    assert "bash 5.2.21-2ubuntu4" in packages
    status, found = await call(agent, "/opengnsys/software?disk=1&part=1")
    assert (status, found["system"]) == (200, "Ubuntu 24.04")
    assert {"name": "octave", "version": "8.4.0-1build5"} in found["packages"]
    assert (tmp_path / "disk").read_bytes() == before


async def test_the_configuration(agent: Agent) -> None:
    status, found = await call(agent, "/opengnsys/config")
    assert status == 200
    assert [(row["disk"], row["par"]) for row in found["cfg"]] == [("1", "0"), ("1", "1")]


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"dsk": 7, "par": 1}, DiskNotFound),
        ({"dsk": 1, "par": 7}, PartitionNotFound),
        ({"dsk": 1, "par": 1}, FilesystemNotSupported),
    ],
)
async def test_what_cannot_be_looked_into(agent: Agent, members: dict[str, int], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        await agent.start("InventarioSoftware", **members)
    assert not agent.jobs.jobs()


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "missing-field"),
        ("?disk=1", 400, "missing-field"),
        ("?disk=1&part=x", 400, "invalid-field"),
        ("?disk=2&part=1", 404, "disk-not-found"),
        ("?disk=1&part=1", 422, "filesystem-not-supported"),
    ],
)
async def test_a_direct_call_that_is_refused(agent: Agent, query: str, status: int, code: str) -> None:
    found, problem = await call(agent, f"/opengnsys/software{query}")
    assert (found, problem["code"]) == (status, code)


async def test_nothing_else_is_done_to_the_disk_meanwhile(tmp_path: Path) -> None:
    held = Held()

    def hold(equipment: Equipment) -> Equipment:
        return replace(equipment, insight=held)

    async with running(tmp_path, equip=hold) as agent:
        install(tmp_path)
        directly = asyncio.create_task(call(agent, "/opengnsys/software?disk=1&part=1"))
        await held.asked.wait()
        with pytest.raises(DiskBusy, match="InventarioSoftware"):
            await agent.start("RestaurarImagen", dsk="1", par="1", idi="1", nci="x", ipr="127.0.0.1")
        held.word.set()
        status, found = await directly
        assert (status, found["notes"]) == (200, ["b was not read"])
        assert not agent.jobs.jobs()
        job, report = await agent.run("InventarioSoftware", dsk="1", par="1")
        assert job.warnings == ("040-b was not read",)
        assert report["sft"].splitlines() == [f"{tmp_path / 'disk'}#1 ext4", "a 1"]
        held.failure = ToolFailed("hivexregedit failed")
        job, report = await agent.run("InventarioSoftware", dsk="1", par="1")
        assert (job.state, report["der"]) == (State.FAILED, "040-hivexregedit failed")
        assert "sft" not in report
