"""A repository that fails and lies on demand, over a real socket, while it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app
from tests.simulator.repository_writer import Faults

DATA: Final = bytes(range(256)) * 16_000
SIZE: Final = len(DATA)
HALF: Final = SIZE // 2
PATH: Final = "/ogrepository/images/X.img"
ABSENT: Final = PATH + ".lock"

Client = TestClient[Request, Application]


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def client(faults: Faults, tmp_path: Path, aiohttp_client: AiohttpClient) -> Client:
    (tmp_path / "X.img").write_bytes(DATA)
    return await aiohttp_client(repository_app(tmp_path, faults=faults))


async def received(client: Client, start: int = 0) -> bytes:
    """As much as comes before the connection breaks."""
    data = b""
    headers = {"Range": f"bytes={start}-"} if start else {}
    async with client.get(PATH, headers=headers) as response:
        try:
            async for chunk in response.content.iter_any():
                data += chunk
        except aiohttp.ClientError:
            pass
    return data


async def test_down_and_up_again(client: Client, faults: Faults) -> None:
    faults.become("repository:down")
    with pytest.raises(aiohttp.ClientError):
        await client.get(PATH)
    faults.become()
    assert await received(client) == DATA


async def test_down_in_the_middle(client: Client, faults: Faults) -> None:
    faults.become("repository:stall@50%")
    async with client.get(PATH) as response:
        await response.content.readexactly(HALF)
        faults.become("repository:down")
        with pytest.raises(aiohttp.ClientError):
            await response.content.readexactly(1)


@pytest.mark.parametrize("path", [PATH, ABSENT, "/ogrepository/images"])
async def test_a_status(client: Client, faults: Faults, path: str) -> None:
    faults.become("repository:status=503")
    async with client.get(path) as response:
        assert response.status == 503


async def test_the_status_of_sidecars(client: Client, faults: Faults) -> None:
    faults.become("repository:sidecars=500")
    async with client.get(ABSENT) as sidecar, client.get(PATH) as image:
        assert (sidecar.status, image.status) == (500, 200)


async def test_a_page_for_what_is_not_there(client: Client, faults: Faults) -> None:
    faults.become("repository:pages")
    async with client.get(ABSENT) as absent, client.get(PATH) as image:
        assert (absent.status, absent.content_type) == (200, "text/html")
        assert await image.read() == DATA


async def test_a_coding_that_is_only_said(client: Client, faults: Faults) -> None:
    faults.become("repository:coding=x-gzip")
    async with client.get(PATH, headers={"Range": "bytes=5-9"}) as part:
        assert part.headers["Content-Encoding"] == "x-gzip"
        assert await part.read() == DATA[5:10]


@pytest.mark.parametrize(("place", "end"), [("0", 0), ("1", 1), ("50%", HALF), ("100%", SIZE)])
async def test_a_cut(client: Client, faults: Faults, place: str, end: int) -> None:
    faults.become(f"repository:cut@{place}")
    assert await received(client) == DATA[:end]
    if 0 < end < SIZE:
        assert await received(client, end) == DATA[end:]


async def test_a_stall_ends_when_it_is_healed(client: Client, faults: Faults) -> None:
    faults.become("repository:stall@50%")
    async with client.get(PATH) as response:
        assert await response.content.readexactly(HALF) == DATA[:HALF]
        faults.become()
        assert await response.content.read() == DATA[HALF:]
    faults.become("repository:stall@50%")
    assert await received(client, HALF) == DATA[HALF:]


@pytest.mark.parametrize("start", [0, 4095, 4096])
async def test_a_flipped_bit(client: Client, faults: Faults, start: int) -> None:
    faults.become("repository:flip@4096")
    data = await received(client, start)
    assert data[: 4096 - start] + data[4097 - start :] == DATA[start:4096] + DATA[4097:]
    assert data[4096 - start] == DATA[4096] ^ 1


async def test_a_file_that_ends_early(client: Client, faults: Faults) -> None:
    faults.become("repository:short@50%")
    async with client.get(PATH) as response:
        assert response.content_length == HALF
        assert await response.read() == DATA[:HALF]


async def test_without_a_length(client: Client, faults: Faults) -> None:
    faults.become("repository:unmeasured")
    async with client.get(PATH) as response:
        assert response.content_length is None
        assert await response.read() == DATA


async def test_ranges(client: Client, faults: Faults) -> None:
    faults.become("repository:range=ignored")
    assert await received(client, HALF) == DATA
    faults.become("repository:range=shifted")
    async with client.get(PATH, headers={"Range": f"bytes={HALF}-"}) as response:
        assert response.headers["Content-Range"] == f"bytes {HALF - 1}-{SIZE - 1}/{SIZE}"
        assert await response.read() == DATA[HALF - 1 :]


@pytest.mark.parametrize(
    ("what", "header"), [("etag", "ETag"), ("date", "Last-Modified"), ("length", "Content-Range"), ("file", "ETag")]
)
async def test_another_file(client: Client, faults: Faults, what: str, header: str) -> None:
    async with client.get(PATH, headers={"Range": "bytes=9-"}) as response:
        before = response.headers
    faults.become(f"repository:other={what}")
    async with client.get(PATH, headers={"Range": "bytes=9-", "If-Range": before["ETag"]}) as response:
        names = {"ETag", "Last-Modified", "Content-Range"}
        changed = {name for name in names if response.headers.get(name) != before[name]}
        assert changed == (names if what == "file" else {header})
        assert response.status == (200 if what == "file" else 206)
    assert await received(client) == DATA


@pytest.mark.parametrize(("what", "place"), [("loop", PATH), ("outside", "http://192.0.2.1/")])
async def test_a_redirect(client: Client, faults: Faults, what: str, place: str) -> None:
    faults.become(f"repository:redirect={what}")
    async with client.get(PATH, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, place)


async def test_slow_until_it_is_healed(client: Client, faults: Faults) -> None:
    """At that rate the whole would take days."""
    faults.become("repository:slow=10")
    async with client.get(PATH) as response:
        await response.content.readexactly(1)
        faults.become()
        async with asyncio.timeout(300):
            assert len(await response.content.read()) == SIZE - 1
