"""The repository over a real socket: what continuing a download rests on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app

DATA = bytes(range(256)) * 20_000
PATH = "/ogrepository/images/X.img"

UNREADABLE_RANGES = ["bytes=5-3", "bytes=0-1,5-9", "lines=1-2", "bytes=-", "bytes=a-b", "bytes=" + "9" * 50]
ABSENT = ["Y.img", "..%2fsecret.img", "%2e%2e/secret.img", "a/b/c.img", "%2fetc%2fpasswd", "X.img/"]

Client = TestClient[Request, Application]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    (images / "X.img").write_bytes(DATA)
    (images / "X.img.full.sum").write_text(hashlib.md5(DATA).hexdigest())
    return images


@pytest.fixture
async def client(images: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(images))


async def test_the_whole_file(client: Client) -> None:
    async with client.get(PATH) as response:
        assert response.status == 200
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["Content-Length"] == str(len(DATA))
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert "Content-Encoding" not in response.headers
        assert await response.read() == DATA


async def test_head_says_the_same_without_the_bytes(client: Client) -> None:
    async with client.get(PATH) as got, client.head(PATH) as head:
        assert head.status == 200
        for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges"):
            assert head.headers[name] == got.headers[name]
        assert await head.read() == b""


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1000000-1999999", 1_000_000, 1_999_999),
        ("bytes=4000000-", 4_000_000, len(DATA) - 1),
        ("bytes=4000000-99999999", 4_000_000, len(DATA) - 1),
        ("bytes=-100", len(DATA) - 100, len(DATA) - 1),
        ("bytes=-99999999", 0, len(DATA) - 1),
    ],
)
async def test_a_range(client: Client, asked: str, first: int, last: int) -> None:
    async with client.get(PATH, headers={"Range": asked}) as response:
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"
        assert await response.read() == DATA[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", f"bytes={len(DATA)}-{len(DATA) + 5}", "bytes=-0"])
async def test_a_range_beyond_the_end(client: Client, asked: str) -> None:
    async with client.get(PATH, headers={"Range": asked}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("asked", UNREADABLE_RANGES)
async def test_a_range_that_cannot_be_read_is_none(client: Client, asked: str) -> None:
    async with client.get(PATH, headers={"Range": asked}) as response:
        assert response.status == 200
        assert len(await response.read()) == len(DATA)


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
async def test_if_range_of_the_same_file_continues(client: Client, validator: str) -> None:
    async with client.head(PATH) as response:
        headers = {"Range": "bytes=100-", "If-Range": response.headers[validator]}
    async with client.get(PATH, headers=headers) as response:
        assert response.status == 206
        assert await response.read() == DATA[100:]


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
async def test_if_range_of_another_file_begins_anew(client: Client, images: Path, validator: str) -> None:
    async with client.head(PATH) as response:
        headers = {"Range": "bytes=100-", "If-Range": response.headers[validator]}
    other = DATA[::-1]
    (images / "X.img").write_bytes(other)
    os.utime(images / "X.img", (1, 1))
    async with client.get(PATH, headers=headers) as response:
        assert response.status == 200
        assert await response.read() == other


async def test_a_weak_tag_does_not_continue(client: Client) -> None:
    async with client.head(PATH) as response:
        headers = {"Range": "bytes=100-", "If-Range": "W/" + response.headers["ETag"]}
    async with client.get(PATH, headers=headers) as response:
        assert response.status == 200


async def test_a_file_that_is_replaced_meanwhile_is_sent_as_it_was(images: Path, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(repository_app(images, rate=1 << 26))
    async with client.get(PATH) as response:
        start = await response.content.readexactly(100)
        (images / "new").write_bytes(DATA[::-1])
        (images / "new").replace(images / "X.img")
        assert start + await response.read() == DATA


async def test_a_sidecar(client: Client) -> None:
    async with client.get(PATH + ".full.sum") as response:
        assert await response.text() == hashlib.md5(DATA).hexdigest()


@pytest.mark.parametrize("name", ABSENT)
async def test_what_is_not_there(client: Client, images: Path, name: str) -> None:
    (images.parent / "secret.img").write_bytes(b"secret")
    async with client.get(f"/ogrepository/images/{name}") as response:
        assert response.status == 404


async def test_catalogue(client: Client) -> None:
    async with client.get("/ogrepository/images") as response:
        (image,) = (await response.json())["images"]
    assert (image["name"], image["state"], image["size"]) == ("X", "ok", len(DATA))
