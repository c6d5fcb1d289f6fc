"""A classroom: model PCs, the images of them, a repository, and PCs that are deployed to and then start alone."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from msgspec.structs import replace

from simulator.ogcore.clients import Client, ClientState
from simulator.repository.app import repository_app
from tests.machine.call import Agent, agent_at
from tests.machine.checks import Facts, told
from tests.machine.day import day_of
from tests.machine.live import COMMAND_LINE
from tests.machine.models import Model
from tests.machine.network import SERVER, Network, network
from tests.machine.ogboot import OGBOOT_PORT, ogboot_app
from tests.machine.ogcore import OGCORE_PORT, ogcore_of
from tests.machine.pcs import Target
from tests.machine.sender import sending
from tests.machine.store import Store
from tests.machine.vm import PC, Drive, Hardware, Stopped, switched_on
from tests.steps import Steps

UNICAST: Final = "unicast-direct"
"""No PC here has a CACHE."""
AGENT_IS_UP: Final = r"Started ogagent\.service"
"""On the console; what an agent that died has left is brought to its end before."""
OGLIVE_IS_THERE: Final = "Welcome to"
"""On the console: systemd has begun."""
T = TypeVar("T")
_MODEL_MAC: Final = "52:54:00:0a:00:fe"


class Classroom:
    """``networked``: its PCs start from the network first, the ogLive as ogBoot serves it. Those of others have a live
    system on a disk of its own, which QEMU itself starts.
    """

    def __init__(
        self, folder: Path, store: Store, net: Network, clients: dict[str, Client], steps: Steps, *, networked: bool
    ) -> None:
        """``clients``: what ogCore knows of each target."""
        self.networked = networked
        self.steps = steps
        self._folder = folder
        self._store = store
        self._net = net
        self._clients = clients
        self._cables: dict[str, str] = {}

    async def model(self, model: Model) -> Facts:
        """What it says when it starts as it was installed."""
        drive = Drive(self._store.disk(model), model.name, volatile=True)
        hardware = Hardware(
            name=model.name, folder=self._folder / model.name, firmware=model.firmware, drives=(drive,), mac=_MODEL_MAC,
            tap=self._cable(model.name),
        )  # fmt: skip
        async with switched_on(hardware) as pc:
            return await self._facts(pc)

    @asynccontextmanager
    async def live(self, target: Target) -> AsyncIterator[tuple[PC, Agent]]:
        """It has started the live system, and its agent answers. In a networked room ogCore has seen it come."""
        client = self._clients[target.name]
        async with self.started(target) as pc:
            if self.networked:
                with self.steps.step(target.name, "gets the ogLive from ogBoot"):
                    await pc.says(OGLIVE_IS_THERE)
            with self.steps.step(target.name, "starts the live system"):
                await pc.says(AGENT_IS_UP)
                if self.networked:
                    await pc.until(lambda: client.state is ClientState.OG_LIVE, "its agent at ogCore")
            async with self.agent(target) as agent:
                yield pc, agent

    @asynccontextmanager
    async def agent(self, target: Target) -> AsyncIterator[Agent]:
        """That of a live system that has started."""
        known = self._clients[target.name].agent
        secret = known.secret if known else ""
        async with agent_at(self._net.address(target.mac), secret) as agent:
            assert await agent.answers(), target.name
            yield agent

    @asynccontextmanager
    async def started(self, target: Target) -> AsyncIterator[PC]:
        """It has begun to start the live system."""
        folder = self._folder / target.name
        folder.mkdir(exist_ok=True)
        if self.networked:
            hardware, kernel = self._hardware(target), None
        else:
            drives = self._store.live.drives(folder / "state.img")
            hardware, kernel = self._hardware(target, *drives), self._store.live.kernel(target.mac)
        async with switched_on(hardware, kernel) as pc:
            yield pc

    async def restoring(self, target: Target, agent: Agent, method: str = UNICAST) -> str:
        """The id of the job, which has begun."""
        return await agent.restore(*await self._place(target, agent), self._store.image(target.model), method)

    async def starting(self, target: Target, agent: Agent) -> None:
        """The PC goes down, to start what it was given."""
        await agent.start(*await self._place(target, agent))

    async def _place(self, target: Target, agent: Agent) -> tuple[int, int]:
        """Disk and partition."""
        disk, root = target.system
        return await agent.disk_number(disk.layout.mib << 20), root.number

    @asynccontextmanager
    async def together(self, targets: Sequence[Target]) -> AsyncIterator[str]:
        """One sender for all of them, which begins when the last one is there; the method by which they hear it."""
        images = {self._store.image(target.model) for target in targets}
        (image,) = images
        async with sending(self._store.images / f"{image}.img", len(targets)) as method:
            yield method

    async def alone(self, targets: Sequence[Target]) -> list[Facts]:
        """What each says when all start from their own disks, at the same time. Those with an agent live a day."""
        async with AsyncExitStack() as stack:
            pcs = [await stack.enter_async_context(switched_on(self._hardware(target))) for target in targets]
            return await together(map(self._lived, targets, pcs))

    async def _lived(self, target: Target, pc: PC) -> Facts:
        facts = await self._facts(pc)
        if facts.dead or not target.model.has_agent:
            return facts
        with self.steps.step(target.name, "has its day"):
            return replace(facts, day=await day_of(pc, self._clients[target.name]))

    async def _facts(self, pc: PC) -> Facts:
        try:
            with self.steps.step(pc.name, "starts from its own disk"):
                report = told(await pc.reported())
        except Stopped as why:
            return Facts(pc.name, {}, pc.printed(), self._net.leases(), str(why))
        return Facts(pc.name, report, pc.printed(), self._net.leases())

    def _hardware(self, target: Target, *more: Drive) -> Hardware:
        folder, tap = self._folder / target.name, self._cable(target.name)
        return target.hardware(folder, *more, tap=tap, network_first=self.networked)

    def _cable(self, name: str) -> str:
        if name not in self._cables:
            self._cables[name] = self._net.cable(f"tap{len(self._cables)}")
        return self._cables[name]


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """When one fails, the others end before anything that they use is taken away."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


@asynccontextmanager
async def classroom(
    folder: Path, store: Store, targets: Sequence[Target], steps: Steps, *, networked: bool = False
) -> AsyncIterator[Classroom]:
    for target in targets:
        store.image(target.model)
    ogboot = ogboot_app(store.oglive, COMMAND_LINE) if networked else None
    clients = {target.name: Client(name=target.name, mac=target.mac, ip="") for target in targets}
    tls = store.authority.server_context(SERVER)
    async with network(folder, {target.mac: target.name for target in targets}) as net:
        ogcore = await ogcore_of(clients.values(), net, store.authority)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(_serving(repository_app(store.images), 443, tls))
            await stack.enter_async_context(_serving(ogcore, OGCORE_PORT, tls))
            if ogboot is not None:
                await stack.enter_async_context(_serving(ogboot, OGBOOT_PORT))
            yield Classroom(folder, store, net, clients, steps, networked=networked)


@asynccontextmanager
async def _serving(app: web.Application, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, SERVER, port, ssl_context=tls).start()
        yield
    finally:
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:  # of a PC whose power has gone: it would be waited for
                connection.transport.abort()
        await runner.cleanup()
