"""Uploads that break, that do not fit, and that meet each other: never half a file under the name, and nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app
from tests.simulator.repository_writer import (
    BEARER,
    DATA,
    HALF,
    PREFIX,
    SIZE,
    TOKEN,
    Client,
    asked,
    connected,
    files,
    move,
    put,
    until,
)

QUOTA = 1 << 20


async def pieces(data: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    """Sent in chunks, without a length."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.fixture
async def client(tmp_path: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(tmp_path, token=TOKEN))


@pytest.fixture
async def small(tmp_path: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(tmp_path, token=TOKEN, quota=QUOTA))


# --- half of it -------------------------------------------------------------------------------------------------------


async def test_in_chunks(client: Client, tmp_path: Path) -> None:
    assert await put(client, "X.img", pieces(DATA)) == 201
    assert await put(client, "X.img", pieces(DATA[::-1])) == 204
    assert files(tmp_path) == {"X.img": DATA[::-1]}


async def test_nothing_is_a_file_too(client: Client, tmp_path: Path) -> None:
    assert await put(client, "X.img.lock", b"") == 201
    assert files(tmp_path) == {"X.img.lock": b""}


LENGTH = f"Content-Length: {SIZE}", DATA[:HALF]
CHUNKED = "Transfer-Encoding: chunked", b"%x\r\n" % HALF + DATA[:HALF] + b"\r\n"


@pytest.mark.parametrize(("header", "half"), [LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("name", ["X.img", "aula/X.img"])
@pytest.mark.parametrize("abruptly", [False, True])
async def test_of_a_broken_upload_nothing_is_left(
    client: Client, tmp_path: Path, header: str, half: bytes, name: str, abruptly: bool
) -> None:
    (tmp_path / "X.img").write_bytes(b"before")
    _, writer = await connected(client.port, f"PUT {PREFIX}/{name} HTTP/1.1\r\n{header}", half)
    await until(lambda: HALF in map(len, files(tmp_path).values()))
    assert (tmp_path / "X.img").read_bytes() == b"before"
    async with client.get(PREFIX) as response:
        assert [(image["name"], image["size"]) for image in (await response.json())["images"]] == [("X", 6)]
    if abruptly:
        writer.transport.abort()
    else:
        writer.close()
    await until(lambda: files(tmp_path) == {"X.img": b"before"})


async def test_chunks_that_are_none(client: Client, tmp_path: Path) -> None:
    head = f"PUT {PREFIX}/X.img HTTP/1.1\r\nTransfer-Encoding: chunked"
    reader, writer = await connected(client.port, head, b"5\r\nhello\r\nnonsense\r\n")
    async with asyncio.timeout(300):
        assert b" 20" not in await reader.readline()
    writer.close()
    await until(lambda: files(tmp_path) == {})


async def test_a_server_that_stops_leaves_no_half(tmp_path: Path) -> None:
    runner = web.AppRunner(repository_app(tmp_path, token=TOKEN), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    _, writer = await connected(port, f"PUT {PREFIX}/X.img HTTP/1.1\r\nContent-Length: {SIZE}", DATA[:HALF])
    await until(lambda: HALF in map(len, files(tmp_path).values()))
    await runner.cleanup()
    await until(lambda: files(tmp_path) == {})
    writer.close()


async def test_an_image_that_is_being_read_is_sent_as_it_was(client: Client, tmp_path: Path) -> None:
    before = DATA * 20
    (tmp_path / "X.img").write_bytes(before)
    async with client.get(f"{PREFIX}/X.img") as response:
        start = await response.content.readexactly(10)
        assert await put(client, "X.img", b"new") == 204
        assert start + await response.read() == before


async def test_of_two_at_once_one_is_there_whole(client: Client, tmp_path: Path) -> None:
    contents = [bytes((number,)) * SIZE for number in range(8)]
    codes = await asyncio.gather(*(put(client, "X.img", pieces(content)) for content in contents))
    assert sorted(codes) == [201] + [204] * 7
    assert list(files(tmp_path)) == ["X.img"]
    assert (tmp_path / "X.img").read_bytes() in contents


# --- asking first -----------------------------------------------------------------------------------------------------


async def expecting(client: Client, name: str, authorization: str = "") -> bytes:
    """The first line of what is said to one who asks before sending anything."""
    head = f"PUT {PREFIX}/{name} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5{authorization}"
    reader, writer = await connected(client.port, head)
    async with asyncio.timeout(300):
        line = await reader.readline()
    if b"100" in line:
        writer.write(b"hello")
        async with asyncio.timeout(300):
            assert await reader.readline() == b"\r\n"
            assert b" 201 " in await reader.readline()
    writer.close()
    return line


async def test_who_asks_first_is_told_to_go_on(client: Client, tmp_path: Path) -> None:
    assert await expecting(client, "X.img") == b"HTTP/1.1 100 Continue\r\n"
    assert files(tmp_path) == {"X.img": b"hello"}


async def test_who_asks_first_without_the_token_sends_nothing(client: Client, tmp_path: Path) -> None:
    assert b" 403 " in await expecting(client, "X.img", "\r\nAuthorization: Bearer wrong")
    assert files(tmp_path) == {}


# --- quota ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_quota_is_exact(small: Client, tmp_path: Path, chunked: bool) -> None:
    def upload(size: int) -> object:
        return pieces(bytes(size), 1000) if chunked else bytes(size)

    (tmp_path / "Y.img").write_bytes(bytes(1000))
    room = QUOTA - 1000
    assert await put(small, "X.img", upload(room + 1)) == 507
    assert files(tmp_path) == {"Y.img": bytes(1000)}
    assert await put(small, "X.img", upload(room)) == 201
    assert await put(small, "X.img.sum", upload(1)) == 507
    assert await put(small, "aula/Z.img", upload(1)) == 507
    assert await put(small, "X.img.lock", upload(0)) == 201
    assert sorted(files(tmp_path)) == ["X.img", "X.img.lock", "Y.img"]


async def test_what_is_replaced_counts_until_then(small: Client) -> None:
    half = bytes(QUOTA // 2)
    assert await put(small, "X.img", half) == 201
    assert await put(small, "X.img", half) == 204
    assert await put(small, "X.img", half + b"!") == 507


async def test_a_copy_must_fit_as_well(small: Client, tmp_path: Path) -> None:
    assert await put(small, "X.img", bytes(QUOTA // 2 + 1)) == 201
    assert await move(small, "X.img", "Y.img", "COPY") == 507
    assert list(files(tmp_path)) == ["X.img"]


async def test_who_sends_too_much_is_told_in_the_middle_and_left(small: Client, tmp_path: Path) -> None:
    reader, writer = await connected(small.port, f"PUT {PREFIX}/X.img HTTP/1.1\r\nTransfer-Encoding: chunked")
    writer.write(b"%x\r\n" % QUOTA + bytes(QUOTA) + b"\r\n")
    await until(lambda: QUOTA in map(len, files(tmp_path).values()))
    writer.write(b"1\r\n!\r\n")
    async with asyncio.timeout(300):
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert answer.startswith(b"http/1.1 507 ")
    assert b"connection: close" in answer
    await until(lambda: files(tmp_path) == {})
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(300):
        assert b"HTTP/1.1" not in await reader.read()
    writer.close()


async def test_who_says_too_much_is_told_before(small: Client, tmp_path: Path) -> None:
    reader, writer = await connected(small.port, f"PUT {PREFIX}/aula/X.img HTTP/1.1\r\nContent-Length: {QUOTA + 1}")
    async with asyncio.timeout(300):
        assert b" 507 " in await reader.readline()
    assert files(tmp_path) == {}
    writer.close()


async def test_two_that_fit_alone_do_not_fit_together(small: Client, tmp_path: Path) -> None:
    most = bytes(QUOTA * 3 // 4)
    codes = await asyncio.gather(*(put(small, f"{name}.img", pieces(most)) for name in "ABCD"))
    assert 507 in codes
    assert sum(map(len, files(tmp_path).values())) == len(most) * codes.count(201) <= QUOTA


async def test_the_connection_goes_on_after_what_was_read(client: Client) -> None:
    async with client.put(f"{PREFIX}/no-image", data=b"x", headers=BEARER) as response:
        assert response.status == 403
    assert (await asked(client, "GET", ""))[0] == 200
