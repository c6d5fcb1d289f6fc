"""The tracker: whom it tells of whom, and whom it tells nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from simulator.repository.crowd.bencode import decode, encode
from simulator.repository.crowd.torrents import Torrents, info_hash, read_torrent
from simulator.repository.crowd.tracker import Tracker
from tests.simulator.crowd.room import IMAGE, PATIENCE_S, image_in

Client = TestClient[Request, Application]
PEER = b"-XX0001-%012d"


@pytest.fixture
def torrents(tmp_path: Path) -> Torrents:
    return Torrents(image_in(tmp_path), "http://127.0.0.1:6969/announce")


@pytest.fixture
def known(torrents: Torrents, tmp_path: Path) -> bytes:
    return info_hash(read_torrent(torrents.beside(tmp_path / "images" / f"{IMAGE}.img")))


@pytest.fixture
async def client(torrents: Torrents, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(Tracker(torrents).app())


async def announce(client: Client, info_hash: bytes, number: int, **more: str) -> Mapping[Any, Any]:
    members = {"port": str(7000 + number), "left": "5", "compact": "1"} | more
    names = f"info_hash={quote_from_bytes(info_hash)}&peer_id={quote_from_bytes(PEER % number)}"
    query = "&".join([names, *(f"{name}={value}" for name, value in members.items())])
    async with client.get(URL(f"/announce?{query}", encoded=True)) as response:
        assert response.status == 200
        told = decode(await response.read())
        assert isinstance(told, dict)
        return told


def places(told: Mapping[Any, Any]) -> set[tuple[str, int]]:
    peers = told[b"peers"]
    return {
        (str(IPv4Address(peers[at : at + 4])), struct.unpack(">H", peers[at + 4 : at + 6])[0])
        for at in range(0, len(peers), 6)
    }


async def test_peers_are_told_of_each_other(client: Client, known: bytes) -> None:
    assert await announce(client, known, 1, left="0") == {
        b"interval": 15, b"complete": 1, b"incomplete": 0, b"peers": b"",
    }  # fmt: skip
    second = await announce(client, known, 2)
    assert (places(second), second[b"complete"], second[b"incomplete"]) == ({("127.0.0.1", 7001)}, 1, 1)
    assert places(await announce(client, known, 1)) == {("127.0.0.1", 7002)}


async def test_one_that_stops_is_told_of_no_more(client: Client, known: bytes) -> None:
    await announce(client, known, 1)
    stopped = await announce(client, known, 1, event="stopped")
    assert (stopped[b"complete"], stopped[b"incomplete"]) == (0, 0)
    assert places(await announce(client, known, 2)) == set()


async def test_peers_need_not_wait_while_another_image_is_read(
    client: Client, torrents: Torrents, known: bytes, tmp_path: Path
) -> None:
    """For its ``.torrent``: that may take minutes."""
    other = tmp_path / "images" / "other.img"
    os.mkfifo(other)
    making = asyncio.create_task(asyncio.to_thread(torrents.beside, other))
    writer = await asyncio.to_thread(os.open, other, os.O_WRONLY)  # until it is opened to be read
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert b"peers" in await announce(client, known, 1)
        assert not making.done()
    finally:
        os.close(writer)
        await making


async def test_of_many_some_are_told(client: Client, known: bytes) -> None:
    for number in range(60):
        await announce(client, known, number)
    assert len(places(await announce(client, known, 60))) == 50
    assert len(places(await announce(client, known, 60, numwant="7"))) == 7
    assert len(places(await announce(client, known, 60, numwant="200"))) == 50
    assert places(await announce(client, known, 60, numwant="0")) == set()


async def test_there_is_a_bound(torrents: Torrents, known: bytes, aiohttp_client: AiohttpClient) -> None:
    client: Client = await aiohttp_client(Tracker(torrents, most_peers=3).app())
    for number in range(3):
        await announce(client, known, number)
    assert await announce(client, known, 3) == {b"failure reason": b"there are too many peers"}
    assert b"peers" in await announce(client, known, 1)


async def test_only_what_lies_beside_an_image_is_tracked(client: Client, known: bytes, tmp_path: Path) -> None:
    other = hashlib.sha1(b"other").digest()
    assert await announce(client, other, 1) == {b"failure reason": b"no image of this repository has this torrent"}
    beside = tmp_path / "images" / f"{IMAGE}.img.torrent"
    beside.write_bytes(b"nonsense")
    assert b"failure reason" in await announce(client, known, 1)
    beside.write_bytes(encode({b"info": {b"length": 1, b"name": b"x", b"piece length": 1, b"pieces": b"y" * 20}}))
    assert b"peers" in await announce(client, info_hash(read_torrent(beside)), 1)
    beside.unlink()
    assert b"failure reason" in await announce(client, known, 1)


@pytest.mark.parametrize(
    "more", [{"port": "0"}, {"port": "65536"}, {"port": "x"}, {"left": "-1"}, {"left": ""}, {"numwant": "many"}]
)
async def test_what_cannot_be_understood(client: Client, known: bytes, more: dict[str, str]) -> None:
    assert b"failure reason" in await announce(client, known, 1, **more)


async def test_a_hash_of_another_length(client: Client) -> None:
    assert await announce(client, b"short", 1) == {b"failure reason": b"info_hash and peer_id have 20 bytes each"}
