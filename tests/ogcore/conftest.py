"""An outbox, and the ogCore that it speaks to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.ogcore.outbox import Outbox
from ogagent.ogcore.webhook import Webhook
from tests.ogcore.hearing import SECRET, OgCore, StoppedClock, Store, here, registered


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def ogcore() -> OgCore:
    return OgCore()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def webhook(ogcore: OgCore, aiohttp_server: AiohttpServer) -> AsyncIterator[Webhook]:
    app = web.Application()
    app.router.add_post("/hook", ogcore.take)
    server = await aiohttp_server(app)
    async with ClientSession() as session:
        yield Webhook(session, str(server.make_url("/hook")), SECRET)


@pytest.fixture
async def outbox(webhook: Webhook, store: Store, clock: StoppedClock) -> AsyncIterator[Outbox]:
    outbox = Outbox(webhook, here, store, registered(), clock, jitter=lambda: 1.0)
    yield outbox
    await outbox.aclose(0)
