"""Servers in a thread of their own: Playwright has an event loop in that of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.console.conftest import PATIENCE_MS

T = TypeVar("T")


class Behind:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._open: list[TestServer | TestClient[Any, Any]] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_MS / 1000)

    def close(self) -> None:
        for each in reversed(self._open):
            self.do(each.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def serve(self, app: web.Application, **more: Any) -> TestServer:
        server = TestServer(app)
        await server.start_server(**more)
        self._open.append(server)
        return server

    async def visit(self, app: web.Application) -> TestClient[Any, Any]:
        client = TestClient(TestServer(app))
        await client.start_server()
        self._open.append(client)
        return client
