"""An image on its way to a web server: what breaks, what stalls, what is answered before its end, what is left."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from ssl import SSLContext
from typing import cast

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.capture.store import UploadBroken
from ogagent.errors import AgentError, RepositoryFull, RepositoryUnreachable
from simulator.certificates import Authority
from simulator.repository.app import repository_app
from tests.capture.dav_server import (
    HANG_UP,
    MIB,
    PATIENCE_S,
    PREFIX,
    TOKEN,
    Heard,
    answers_of,
    for_ever,
    opened,
    pieces,
    policy,
    raw,
    says,
    served,
)
from tests.simulator.repository_writer import Faults, files, until

ANY = bytes(range(256)) * 4096
STALL_S = 1.0


async def deaf(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the head of a request, and then no more than what fits into buffers, until the client leaves."""
    heard.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
    transport = cast("asyncio.Transport", writer.transport)
    transport.pause_reading()
    await until(lambda: "resumed" in heard.heads)
    transport.resume_reading()
    await reader.read()


@pytest.mark.parametrize("place", ["4097", "50%"])
async def test_a_repository_that_stops_taking_it(
    tmp_path: Path, tls: SSLContext, authority: Authority, credential: Path, aiohttp_server: AiohttpServer, place: str
) -> None:
    """That is found out, and nothing is left there."""
    faults, images = Faults(), tmp_path / "images"
    images.mkdir()
    faults.become(f"repository:upload-stall@{place}")
    server = await aiohttp_server(repository_app(images, faults=faults, token=TOKEN), ssl=tls)
    how = policy(authority.certificate, credential, stall=STALL_S)
    async with asyncio.timeout(PATIENCE_S), opened(str(server.make_url(f"{PREFIX}/x.img")), how) as store:
        with pytest.raises(UploadBroken, match="no answer in time"):
            await store.stream("x.img", for_ever())
        faults.become()
        await until(lambda: files(images) == {})
    how = policy(authority.certificate, credential)
    async with asyncio.timeout(PATIENCE_S), opened(str(server.make_url(f"{PREFIX}/x.img")), how) as store:
        await store.stream("x.img", pieces(ANY))
    assert files(images) == {"x.img": ANY}


async def test_no_more_is_asked_for_than_the_repository_takes(authority: Authority) -> None:
    asked_for = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal asked_for
        while True:
            asked_for += MIB
            yield bytes(MIB)

    async with served(authority, deaf, stall=STALL_S) as (server, store):
        with pytest.raises(UploadBroken, match="no answer in time"):
            await store.stream("x.img", counted())
        server.heads.append("resumed")
    assert asked_for <= 24 * MIB, "the kernel's buffers, on both sides, and little more"


async def test_a_small_file_is_not_waited_for_either(authority: Authority) -> None:
    """What lies beside an image may be larger than the kernel's buffers."""
    async with served(authority, deaf, stall=0.02) as (server, store):
        with pytest.raises(RepositoryUnreachable, match="no answer in time"):
            await store.put("x.img.index", bytes(24 * MIB))
        server.heads.append("resumed")


async def test_a_disk_that_is_slower_than_the_network(authority: Authority) -> None:
    """It is not the server that is waited for."""
    stall_s = 1.0

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(1.5 * stall_s)
            yield b"slow"

    async with served(authority, answers_of(says(201)), stall=stall_s) as (server, store):
        await store.stream("x.img", slow())
    assert server.bodies == [b"slow" * 3]


async def test_a_network_that_is_slow_is_not_one_that_stalls(authority: Authority) -> None:
    """All of a chunk takes longer than a part of it may."""
    stall_s = 1.0

    async def serve(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        ends = False
        while not ends:
            ends = (await reader.read(MIB)).endswith(b"0\r\n\r\n")
            await asyncio.sleep(stall_s / 16)
        writer.write(says(201))
        await writer.drain()

    async with served(authority, serve, stall=stall_s) as (_, store):
        await store.stream("x.img", pieces(bytes(28 * MIB), 14 * MIB))


@pytest.mark.parametrize("lingers", [True, False])
@pytest.mark.parametrize(
    ("status", "error", "word"), [(507, RepositoryFull, "no room"), (413, RepositoryUnreachable, "of that size")]
)
async def test_what_is_answered_before_the_end(
    tls: SSLContext, authority: Authority, status: int, error: type[AgentError], word: str, lingers: bool
) -> None:
    """Also by a server that closes the connection without looking at what still comes."""

    async def serve(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(3 * MIB)
        writer.write(says(status, b"no\n", "Connection: close"))
        await writer.drain()
        while lingers and await reader.read(MIB):
            pass

    async with served(authority, serve) as (_, store):
        for _ in range(10):
            with pytest.raises(error, match=word):
                await store.stream("x.img", for_ever())


async def test_a_cut_upload_is_begun_by_nobody_else(authority: Authority) -> None:
    """Half of it is gone already: only who makes the image can make it again."""
    async with served(authority, answers_of(says(201), HANG_UP, says(201)), retry=60) as (server, store):
        await store.put("x.img.lock", b"job")
        with pytest.raises(UploadBroken):
            await store.stream("x.img", pieces(ANY))
        await store.stream("x.img", pieces(ANY))
    assert server.bodies == [b"job", ANY, ANY]


async def test_what_fails_in_the_middle_is_no_end(authority: Authority) -> None:
    """The server must not take it for the whole."""
    ends: list[bytes] = []

    async def serve(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        ends.append((await reader.read())[-7:])

    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError(5, "the disk")

    async with served(authority, serve) as (server, store):
        with pytest.raises(UploadBroken):
            await store.stream("x.img", failing())
        await until(lambda: server.ended == 1)
    assert ends in ([b"\nhalf\r\n"], [b""])


@pytest.mark.parametrize("waits_for", ["server", "disk"])
async def test_a_cancel_leaves_nothing(tls: SSLContext, authority: Authority, waits_for: str) -> None:
    """No task, and no connection; and nobody waits for a server that has stopped."""
    never = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield b"begun"
        await never.wait()

    async with asyncio.timeout(PATIENCE_S), raw(tls, deaf) as server:
        before = asyncio.all_tasks()

        async def upload() -> None:
            async with opened(server.url, policy(authority.certificate, stall=PATIENCE_S * 2)) as store:
                await store.stream("x.img", for_ever() if waits_for == "server" else waiting())

        task = asyncio.create_task(upload())
        await until(lambda: len(server.heads) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.heads.append("resumed")
        await until(lambda: server.ended == 1)
        await until(lambda: asyncio.all_tasks() == before)


async def test_it_takes_little_memory(authority: Authority) -> None:
    async def serve(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while not (await reader.read(MIB)).endswith(b"0\r\n\r\n"):
            pass
        writer.write(says(201))
        await writer.drain()

    async def image() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(MIB)

    async with served(authority, serve) as (_, store):
        tracemalloc.start()
        try:
            await store.stream("x.img", image())
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 12 * MIB
