"""The machine goes down when ogCore knows, and not when it should not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import (
    DiskChanged,
    DiskNotFound,
    InvalidField,
    MachineBusy,
    MissingField,
    NoSystem,
    NothingToBoot,
    ToolFailed,
)
from ogagent.functions.plain import Intention
from ogagent.model.job import State
from simulator.ext4 import make_filesystem
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.functions.running import MIB, SIZE, Agent, running
from tests.jobs.two_disks import until
from tests.power_twin import StillPower

EMPTY = Entry(number=1, start=MIB, size=MIB, type=LINUX_FILESYSTEM, name="")
SYSTEM = Entry(number=2, start=2 * MIB, size=8 * MIB, type=LINUX_FILESYSTEM, name="")
UUID = "7b0c1f3e-5d2a-4f19-9f0e-3c1d2b4a5e6f"


@pytest.fixture
def power() -> StillPower:
    return StillPower()


@pytest.fixture
async def agent(tmp_path: Path, power: StillPower) -> AsyncIterator[Agent]:
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(SIZE)
        write_table(file, SIZE, (EMPTY, SYSTEM))
    make_filesystem(tmp_path / "disk", SYSTEM.size, uuid=UUID, label="", offset=SYSTEM.start)
    async with on(tmp_path, power) as agent:
        yield agent


def on(folder: Path, power: StillPower, going_s: float = 3600) -> AbstractAsyncContextManager[Agent]:
    return running(folder, equip=lambda equipment: replace(equipment, power=power), going_s=going_s)


@pytest.mark.parametrize(("name", "done"), [("Reiniciar", "restart"), ("Apagar", "switch off")])
async def test_it_goes_down_when_ogcore_knows(agent: Agent, power: StillPower, name: str, done: str) -> None:
    job = await agent.start(name, ids="7", nfn=name)
    known: list[bool] = []
    power.watch = lambda: known.append(job.job_id in agent.told.finals)
    job, report = await agent.ended(job)
    await until(lambda: power.done == [done])
    assert known == [True]
    assert (job.state, job.error, job.target) == (State.SUCCEEDED, None, None)
    assert (report["nfn"], report["res"], report["der"], report["ids"]) == (f"RESPUESTA_{name}", "1", "", "7")
    assert "cfg" not in report


async def test_the_system_of_a_partition_starts(agent: Agent, power: StillPower) -> None:
    job, report = await agent.run("IniciarSesion", dsk="1", par="2", ids="7")
    await until(lambda: power.done == ["prepare", "go"])
    assert (report["nfn"], report["res"], report["der"]) == ("RESPUESTA_IniciarSesion", "1", "")
    assert (report["dsk"], report["par"], report["ids"]) == ("1", "2", "7")
    assert job.target is not None
    assert (job.target.disk, job.target.partition) == (1, 2)


async def test_the_system_of_another_disk_than_the_request_names_does_not_start(
    agent: Agent, power: StillPower
) -> None:
    named = {"dsk": "1", "par": "2", "identity": "serial:other;size:1"}
    with pytest.raises(DiskChanged, match="the request means serial:other;size:1"):
        await (await agent.jobs.plan(agent.functions["IniciarSesion"].order(named))).preview()
    _, report = await agent.run("IniciarSesion", **named)
    assert report["der"].startswith("092-")
    assert power.done == []


async def test_a_plan_changes_nothing(agent: Agent, power: StillPower) -> None:
    for name, would in (
        ("IniciarSesion", "start partition 2 of disk 1"),
        ("Reiniciar", "restart the machine"),
        ("Apagar", "switch the machine off"),
    ):
        order = agent.functions.order({"nfn": name, "dsk": 1, "par": 2})
        assert await (await agent.jobs.plan(order)).preview() == Intention(would=would)
    assert power.done == []


async def test_what_does_not_start_is_a_failure_and_the_machine_stays_up(agent: Agent, power: StillPower) -> None:
    power.missing = NoSystem("partition 2 of disk 1 holds no system: only files are on it")
    with pytest.raises(NoSystem):
        await (await agent.jobs.plan(agent.functions["IniciarSesion"].order({"dsk": "1", "par": "2"}))).preview()
    _, report = await agent.run("IniciarSesion", dsk="1", par="2")
    assert (report["res"], report["der"]) == ("2", "006-partition 2 of disk 1 holds no system: only files are on it")
    power.missing, power.broken = None, ToolFailed("efibootmgr failed with status 2")
    _, report = await agent.run("IniciarSesion", dsk="1", par="2")
    assert (report["res"], report["der"]) == ("2", "040-efibootmgr failed with status 2")
    assert power.done == []


async def test_a_partition_without_a_system_is_refused(agent: Agent) -> None:
    with pytest.raises(NothingToBoot, match="partition 1 of disk 1 holds no system: it has no file system"):
        await agent.start("IniciarSesion", dsk="1", par="1")
    with pytest.raises(DiskNotFound):
        await agent.start("IniciarSesion", dsk="9", par="1")
    with pytest.raises(MissingField):
        await agent.start("IniciarSesion", dsk="1")
    with pytest.raises(InvalidField):
        await agent.start("Reiniciar", nfn="Apagar")


async def test_while_somebody_works_it_stays_up(agent: Agent, power: StillPower) -> None:
    job = await agent.start("EjecutarScript", scp="sleep 3600")
    for name in ("Reiniciar", "Apagar", "IniciarSesion"):
        with pytest.raises(MachineBusy, match=job.job_id):
            await agent.start(name, dsk="1", par="2")
    await agent.jobs.cancel(job.job_id)
    assert power.done == []


async def test_when_it_goes_down_nobody_begins_to_work(agent: Agent, power: StillPower) -> None:
    job, _ = await agent.run("Apagar")
    await until(lambda: power.done == ["switch off"])
    with pytest.raises(MachineBusy, match=job.job_id):
        await agent.start("RestaurarImagen", dsk="1", par="2", idi="1", nci="x", ipr="127.0.0.1")
    assert agent.jobs.busy


async def test_a_machine_that_cannot_go_down_is_free_again(agent: Agent, power: StillPower) -> None:
    power.stuck = ToolFailed("systemctl failed with status 1")
    await agent.run("Reiniciar")
    await until(lambda: not agent.jobs.busy)
    _, report = await agent.run("EjecutarScript", scp="true")
    assert report["res"] == "1"


async def test_so_is_one_that_stays_up_all_the_same(tmp_path: Path, power: StillPower) -> None:
    async with on(tmp_path, power, going_s=0.1) as agent:
        await agent.run("Reiniciar")
        await until(lambda: not agent.jobs.busy)
        assert power.done == ["restart"]
