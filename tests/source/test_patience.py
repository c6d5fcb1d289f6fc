"""A server that dribbles is left: it may neither keep a job for ever, nor be asked as fast as it breaks off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import pytest
from yarl import URL

from ogagent.errors import RepositoryUnreachable
from ogagent.source.download import FAIR, LEAST_RATE, Download, Patience, RemoteFile

URL_: Final = URL("http://repository/image-test.img")
RETRY_FOR_S: Final = 600.0


class Time:
    """Passes only as told, or in its sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.retries = 0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def retry(self) -> None:
        self.retries += 1

    def patience(self, retry_for_s: float = RETRY_FOR_S) -> Patience:
        return Patience(URL_, retry_for_s, self.retry, self.clock, self.sleep)

    def comes(self, patience: Patience, count: int, after_s: float) -> None:
        patience.wait()
        self.now += after_s
        patience.received(count)


async def again_and_again(attempt: Callable[[], Awaitable[None]]) -> None:
    for _ in range(1000):
        await attempt()


# --- a connection that breaks -------------------------------------------------------------------------------------


async def test_one_that_breaks_is_followed_by_the_next_at_once() -> None:
    time = Time()
    patience = time.patience(0)
    for _ in range(1000):
        time.comes(patience, FAIR, 1)
        await patience.pause("broken", got_some=True)
    assert (time.slept, time.retries) == ([], 1000)


async def test_one_that_brings_next_to_nothing_is_not() -> None:
    """One byte a connection: the pauses grow, and there are only so many."""
    time = Time()
    patience = time.patience()

    async def attempt() -> None:
        time.comes(patience, 1, 0.01)
        await patience.pause("broken", got_some=True)

    with pytest.raises(RepositoryUnreachable) as failure:
        await again_and_again(attempt)
    assert sum(time.slept) <= RETRY_FOR_S
    assert 40 < len(time.slept) < 70
    assert failure.value.message.startswith(f"{URL_} has sent {len(time.slept) + 1} bytes in 600 s: broken")
    assert failure.value.hint


async def test_a_fair_number_of_bytes_begins_the_pauses_anew() -> None:
    time = Time()
    patience = time.patience()
    for _ in range(200):
        time.comes(patience, FAIR // 4, 1)
        await patience.pause("broken", got_some=True)
    assert max(time.slept) < 3, "four of them are fair together"


async def test_one_that_brings_nothing_is_waited_for_from_the_first_time() -> None:
    time = Time()
    patience = time.patience()
    with pytest.raises(RepositoryUnreachable, match="could not be reached for 600 s: refused"):
        await again_and_again(lambda: patience.pause("refused"))
    assert 0.375 <= time.slept[0] <= 0.625
    with pytest.raises(RepositoryUnreachable):
        await Time().patience(0).pause("refused")


# --- a connection that stays and dribbles -------------------------------------------------------------------------


async def test_one_byte_each_29_s() -> None:
    time = Time()
    patience = time.patience()

    async def one_byte() -> None:
        time.comes(patience, 1, 29)

    with pytest.raises(RepositoryUnreachable, match="less than 8192 bytes a second, and that for 600 s") as failure:
        await again_and_again(one_byte)
    assert RETRY_FOR_S < time.now < RETRY_FOR_S + 30
    assert failure.value.number == 23


@pytest.mark.parametrize("retry_for_s", [0, 600])
def test_a_slow_network_is_no_dribble(retry_for_s: float) -> None:
    time = Time()
    patience = time.patience(retry_for_s)
    for _ in range(10_000):
        time.comes(patience, LEAST_RATE * 2, 2)


def test_a_silence_is_made_good_by_what_comes_after_it() -> None:
    time = Time()
    patience = time.patience()
    for _ in range(100):
        time.comes(patience, 1, RETRY_FOR_S / 2)
        time.comes(patience, 10 * FAIR, 1)


def test_a_slow_disk_is_not_the_server_s() -> None:
    """What it takes the other side to use the bytes does not count."""
    time = Time()
    patience = time.patience()
    for _ in range(1000):
        time.comes(patience, LEAST_RATE, 0.1)
        time.now += 300


# --- the same, over a socket --------------------------------------------------------------------------------------


class Dribbling:
    """Sends one byte of a long file a connection, or one after the other if it ``stays``."""

    def __init__(self, *, stays: bool) -> None:
        self.connections = 0
        self._stays = stays

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        start = int(head.partition("bytes=")[2].partition("-")[0] or 0)
        status = b"206 Partial Content" if start else b"200 OK"
        writer.write(b'HTTP/1.1 %b\r\nETag: "1"\r\nContent-Length: %d\r\n' % (status, (1 << 40) - start))
        if start:
            writer.write(b"Content-Range: bytes %d-%d/%d\r\n" % (start, (1 << 40) - 1, 1 << 40))
        writer.write(b"\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                if not self._stays:
                    break
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        writer.close()

    @asynccontextmanager
    async def file(self) -> AsyncIterator[RemoteFile]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/image-test.img")
        async with server, aiohttp.ClientSession() as session:
            yield RemoteFile(session, url, None)


class FastTime(Time):
    """29 s pass between any two looks at the clock."""

    def clock(self) -> float:
        self.now += 29
        return self.now


@pytest.mark.parametrize("stays", [False, True])
async def test_a_download_from_such_a_server_ends(stays: bool, caplog: pytest.LogCaptureFixture) -> None:
    server, time = Dribbling(stays=stays), FastTime() if stays else Time()
    async with asyncio.timeout(300), server.file() as file:
        with pytest.raises(RepositoryUnreachable):
            async for _ in Download(file, time.patience()).chunks():
                pass
    assert server.connections == (1 if stays else len(time.slept) + 2)
    assert len([entry for entry in caplog.records if entry.levelno == logging.WARNING]) < 70


async def test_nor_does_what_lies_beside_the_image_last_for_ever() -> None:
    async with asyncio.timeout(300), Dribbling(stays=True).file() as file:
        response = await file.get(file.url, {})
        with pytest.raises(RepositoryUnreachable):
            await file.read_small(response, 1 << 30, FastTime().patience())
        response.close()


async def test_nor_what_is_passed_over_where_a_server_knows_no_ranges() -> None:
    server = Dribbling(stays=True)
    async with asyncio.timeout(300), server.file() as file:
        response = await file.get(file.url, {})
        with pytest.raises(RepositoryUnreachable):
            await file._stand_at(response, 1 << 30, None, FastTime().patience())
        response.close()
