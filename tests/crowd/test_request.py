"""What OpenGnsys' repository is asked, and that who is not heard goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ogagent.crowd.request import request_multicast

OPTIONS = "9000:full-duplex:239.194.17.2:70M:20:120"


async def test_as_opengnsys_has_it() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        await request_multicast("127.0.0.1", "aula/ubuntu.img", OPTIONS, port)
        assert await heard.get() == f"START_MULTICAST aula/ubuntu.img {OPTIONS}".encode()


async def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await request_multicast("127.0.0.1", "x.img", OPTIONS, 1)
    assert "is not asked" in caplog.text
