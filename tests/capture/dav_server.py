"""Repositories for those who write to them: the simulator's, and servers that say what a test wrote, all with TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from ssl import SSLContext
from typing import Final

from msgspec import Struct

from ogagent.capture.store import Store, StorePolicy, open_store
from ogagent.model.repository import Networks
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context
from simulator.certificates import Authority

TOKEN: Final = "sEcReT-0123456789.~+/_A="
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PREFIX: Final = "/ogrepository/images"
MIB: Final = 1 << 20
PATIENCE_S: Final = 300


def policy(
    ca: Path | str,
    credential: Path | str = "",
    *,
    networks: Networks | None = LOOPBACK,
    stall: float = 30,
    retry: float = 0,
) -> StorePolicy:
    """``retry`` 0: nothing is tried again."""
    tls = client_context(str(ca), "repository.ca")
    source = SourcePolicy(tls=tls, networks=networks, stall_timeout_s=stall, retry_for_s=retry)
    return StorePolicy(source=source, token_file=str(credential))


@asynccontextmanager
async def opened(url: str, how: StorePolicy) -> AsyncIterator[Store]:
    async with open_store(url, how) as (store, _):
        yield store


async def pieces(data: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def for_ever(chunk: bytes = bytes(1 << 16)) -> AsyncIterator[bytes]:
    while True:
        yield chunk
        await asyncio.sleep(0)


# --- a server that says what the test wrote -----------------------------------------------------------------------


class Heard(Struct):
    """``heads`` are the requests without their bodies, ``bodies`` these as they came; ``ended`` counts connections."""

    heads: list[str] = []
    bodies: list[bytes] = []
    connections: int = 0
    ended: int = 0
    url: str = ""

    @property
    def calls(self) -> list[str]:
        return [" ".join(head.split(" ", 2)[:2]) for head in self.heads]

    def header(self, name: str, number: int = 0) -> str | None:
        lines = (line.partition(": ") for line in self.heads[number].split("\r\n"))
        return next((value for found, _, value in lines if found.lower() == name.lower()), None)


Serve = Callable[[Heard, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw(tls: SSLContext, serve: Serve) -> AsyncIterator[Heard]:
    """``serve`` has each connection, which is closed after it."""
    heard = Heard()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        try:
            await serve(heard, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            heard.ended += 1
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls) as server:
        heard.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}{PREFIX}/x.img"
        yield heard


@asynccontextmanager
async def served(
    authority: Authority, serve: Serve, *, credential: Path | str = "", stall: float = 30, retry: float = 0
) -> AsyncIterator[tuple[Heard, Store]]:
    """With somebody who writes to it."""
    how = policy(authority.certificate, credential, stall=stall, retry=retry)
    async with raw(authority.server_context("127.0.0.1"), serve) as heard, opened(heard.url, how) as store:
        yield heard, store


HANG_UP: Final = b""
SILENCE: Final = b"-"


def answers_of(*answers: bytes) -> Serve:
    """One a request, in order; of ``HANG_UP`` and ``SILENCE`` the client hears nothing."""
    left = list(answers)

    async def serve(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            heard.bodies.append(await body(heard, reader))
            if (answer := left.pop(0)) == HANG_UP:
                return
            if answer == SILENCE:
                await reader.read()
                return
            writer.write(answer)
            await writer.drain()

    return serve


async def body(heard: Heard, reader: asyncio.StreamReader) -> bytes:
    if heard.header("Transfer-Encoding", -1) != "chunked":
        return await reader.readexactly(int(heard.header("Content-Length", -1) or 0))
    found = bytearray()
    while size := int(await reader.readline(), 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return bytes(found)


def says(status: int, content: bytes = b"", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status} So", *headers, f"Content-Length: {len(content)}", "", "")
    return "\r\n".join(lines).encode() + content
