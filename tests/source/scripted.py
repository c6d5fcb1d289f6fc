"""Servers that say what a test wrote, and somebody who fetches from them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Final

import pytest
from aiohttp import web
from msgspec import Struct
from yarl import URL

from ogagent.errors import AgentError
from ogagent.model.repository import Networks
from ogagent.source.http import open_http
from ogagent.system.tls import client_context

IMAGE: Final = random.Random(1).randbytes(1_000_003)
SIZE: Final = len(IMAGE)
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
FIRST: Final = 400_000
SECOND: Final = 700_000
VALIDATORS: Final = 'ETag: "one"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT'


class Fetched(Struct, frozen=True):
    data: bytes
    size: int | None
    retries: int


async def fetch(
    url: str | URL, *, networks: Networks | None = LOOPBACK, stall: float = 20, retry: float = 20, ca: str = ""
) -> Fetched:
    retries: list[None] = []
    opened = open_http(
        URL(url),
        tls=client_context(ca, "repository.ca"),
        networks=networks,
        stall_timeout_s=stall,
        retry_for_s=retry,
        on_retry=lambda: retries.append(None),
    )
    async with opened as source:
        data = b"".join([chunk async for chunk in source.chunks()])
        return Fetched(data, source.size, len(retries))


async def beside(url: str, *, stall: float) -> bytes | None:
    """The index of this image."""
    opened = open_http(
        URL(url),
        tls=client_context("", ""),
        networks=LOOPBACK,
        stall_timeout_s=stall,
        retry_for_s=20,
        on_retry=lambda: None,
    )
    async with opened as source:
        return await source.sidecar(".index", 1 << 30)


async def failure_of(url: str | URL, *, ca: str = "", networks: Networks | None = LOOPBACK) -> AgentError:
    """With a long patience: what fails at all has failed at once, without another attempt."""
    retries: list[None] = []
    with pytest.raises(AgentError) as failure:
        async with open_http(
            URL(url),
            tls=client_context(ca, "repository.ca"),
            networks=networks,
            stall_timeout_s=20,
            retry_for_s=600,
            on_retry=lambda: retries.append(None),
        ) as source:
            await anext(source.chunks())
    assert not retries
    return failure.value


# --- a server that says what the test wrote -----------------------------------------------------------------------


class Answer(Struct, frozen=True):
    """``hold`` keeps the connection open after ``data``, until the other side leaves."""

    data: bytes
    hold: bool = False


class Scripted(Struct):
    """One answer a connection, in order. ``heads`` are the requests, ``url`` the address."""

    answers: list[Answer]
    heads: list[str] = []
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = self.answers[len(self.heads) - 1]
            writer.write(answer.data)
            await writer.drain()
            if answer.hold:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[Scripted]:
    script = Scripted(list(answers))
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    async with server:
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/image-test.img"
        yield script


def answer(status: str, body: bytes, *headers: str) -> Answer:
    """With nothing but these headers."""
    return Answer("\r\n".join((f"HTTP/1.1 {status}", *headers, "Connection: close", "", "")).encode() + body)


def whole(body: bytes, validators: str = VALIDATORS, length: int = SIZE) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{validators}\r\nContent-Length: {length}\r\n\r\n".encode() + body


def broken(body: bytes) -> bytes:
    """In chunks, and in their middle what a gateway says when the server behind it has gone. So much of ``body`` comes
    that the rest is not read with it.
    """
    head = f"HTTP/1.1 200 OK\r\n{VALIDATORS}\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    return head.encode() + body + b"\r\nHTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


def partial(start: int, body: bytes, validators: str = VALIDATORS, total: str = str(SIZE)) -> bytes:
    head = f"HTTP/1.1 206 Partial Content\r\n{validators}\r\nContent-Range: bytes {start}-{SIZE - 1}/{total}"
    return f"{head}\r\nContent-Length: {SIZE - start}\r\n\r\n".encode() + body


def header(head: str, name: str) -> str | None:
    lines = (line.partition(": ") for line in head.split("\r\n"))
    return next((value for found, _, value in lines if found.lower() == name.lower()), None)


async def parts_of(url: str | URL, *wanted: tuple[int, int], retry: float = 20) -> tuple[list[bytes], bool]:
    """All at once; and whether the server takes ranges."""
    opened = open_http(
        URL(url),
        tls=client_context("", ""),
        networks=LOOPBACK,
        stall_timeout_s=20,
        retry_for_s=retry,
        on_retry=lambda: None,
    )
    async with opened as source:

        async def part(start: int, stop: int) -> bytes:
            return b"".join([chunk async for chunk in source.part(start, stop)])

        return await asyncio.gather(*(part(*each) for each in wanted)), source.takes_ranges


def statuses(*codes: int) -> web.Application:
    """Answers with these, and afterwards with the image."""
    left = list(codes)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=left.pop(0)) if left else web.Response(body=IMAGE)

    app = web.Application()
    app.router.add_get("/image-test.img", answer)
    return app
