"""A client that has booted from its disk, and ogCore, which learns of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import ClientSession, TCPConnector
from aiohttp.test_utils import unused_port
from pytest_aiohttp.plugin import AiohttpServer

from simulator.certificates import Authority
from simulator.machine.booted import Booted, booted_app
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client


async def wait_for_state(session: ClientSession, ogcore: str, state: str) -> None:
    async with asyncio.timeout(300):
        while True:
            async with session.get(f"{ogcore}/clients/pc1") as response:
                if (await response.json())["state"] == state:
                    return
            await asyncio.sleep(0.01)


async def test_ogcore_sees_linux_and_who_logs_in(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    authority = Authority(tmp_path)
    port = unused_port()
    clients = [Client(name="pc1", mac="08:00:27:0b:88:be", ip="127.0.0.1", port=port)]
    core = await ogcore_app(clients, repository="http://127.0.0.1:9")
    ogcore = str((await aiohttp_server(core, ssl=authority.server_context("127.0.0.1"))).make_url(""))
    context = authority.server_context("127.0.0.1")
    booted = Booted(
        ip="127.0.0.1",
        ogcore=ogcore,
        ogcore_tls=authority.client_context(),
        fingerprint=authority.fingerprint("127.0.0.1"),
        system="Ubuntu 24.04 LTS",
    )
    server = await aiohttp_server(await booted_app(booted), port=port, ssl=context)
    async with ClientSession(connector=TCPConnector(ssl=authority.client_context())) as session:
        await wait_for_state(session, ogcore, "linux")
        for call, state in (("login", "linux-session"), ("logout", "linux")):
            async with session.post(server.make_url(f"/lab/{call}")) as response:
                assert response.status == 204
            await wait_for_state(session, ogcore, state)
        await server.close()
        await wait_for_state(session, ogcore, "off")
