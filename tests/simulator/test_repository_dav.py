"""PROPFIND: how much room the repository has left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app
from tests.simulator.repository_writer import PREFIX, TOKEN, Client, asked, put, raw_status


@pytest.fixture
def images(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    (images / "X.img").write_bytes(b"first")
    return images


@pytest.fixture
async def client(images: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(images, token=TOKEN))


def available(body: bytes) -> int:
    (found,) = re.findall(rb"<D:quota-available-bytes>(\d+)</D:quota-available-bytes>", body)
    return int(found)


@pytest.mark.parametrize("name", ["", "/", "/X.img", "/aula", "/aula/"])
async def test_what_is_left_of_the_quota(images: Path, aiohttp_client: AiohttpClient, name: str) -> None:
    client = await aiohttp_client(repository_app(images, token=TOKEN, quota=1000))
    assert await put(client, "aula/Y.img", b"ten bytes.") == 201
    code, body = await asked(client, "PROPFIND", name, headers={"Depth": "0"})
    assert (code, available(body)) == (207, 1000 - len(b"first") - 10)
    assert f"<D:href>{PREFIX}{name}</D:href>".encode() in body
    assert (b"<D:collection/>" in body) == (name != "/X.img")


async def test_without_a_quota_it_is_what_the_disk_has(client: Client) -> None:
    code, body = await asked(client, "PROPFIND", "", headers={"Depth": "0"})
    assert code == 207
    assert available(body) > 0


async def test_a_file_with_two_names_counts_once(images: Path, aiohttp_client: AiohttpClient) -> None:
    (images / "Y.img").hardlink_to(images / "X.img")
    client = await aiohttp_client(repository_app(images, token=TOKEN, quota=7))
    _, body = await asked(client, "PROPFIND", "", headers={"Depth": "0"})
    assert available(body) == 2


@pytest.mark.parametrize("name", ["/Y.img", "/absent/", "/X.img/", "/a/b/", "/.."])
async def test_what_is_not_there_has_no_properties(client: Client, name: str) -> None:
    assert await raw_status(client, f"PROPFIND {PREFIX}{name} HTTP/1.1\r\nDepth: 0") == 404


@pytest.mark.parametrize("depth", [None, "1", "infinity"])
async def test_no_tree_is_described(client: Client, depth: str | None) -> None:
    code, body = await asked(client, "PROPFIND", "", headers={"Depth": depth} if depth else {})
    assert code == 403
    assert b"propfind-finite-depth" in body
