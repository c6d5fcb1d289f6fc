"""A PC with several network cards: which one leads to the others is said by ``crowd.interface``."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import psutil
import pytest

from ogagent.crowd.order import Share
from ogagent.crowd.real import station_of
from ogagent.crowd.swarm import heard, taking_part
from ogagent.settings import CrowdSettings
from simulator.repository.crowd.torrents import info_hash, make_torrent, read_torrent
from tests.crowd.test_swarm import kept_at, swarm, taken, torrent
from tests.machine.network import is_own

PORT = 16_881
CARD = "room"
ADDRESS = "10.81.0.1"
ADDRESS_6 = "fd81::1"
GREETING = b"\x13BitTorrent protocol"  # BEP 3

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not is_own(), reason="cards are made by root, in a network of its own"
)


@pytest.fixture
def card() -> Iterator[str]:
    """Beside ``lo``."""
    ip("link", "add", CARD, "type", "veth", "peer", "name", "far")
    try:
        ip("address", "add", f"{ADDRESS}/24", "dev", CARD)
        ip("address", "add", f"{ADDRESS_6}/64", "dev", CARD, "nodad")
        for each in (CARD, "far"):
            ip("link", "set", each, "up")
        yield CARD
    finally:
        ip("link", "delete", CARD)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.mark.parametrize(
    ("interface", "server", "listens"),
    [(CARD, "0.0.0.0", {ADDRESS}), (CARD, "127.0.0.1", {ADDRESS}), ("", "127.0.0.1", {"127.0.0.1"})],
)
async def test_peers_find_it_there_and_nowhere_else(
    card: str, tmp_path: Path, interface: str, server: str, listens: set[str]
) -> None:
    station = station_of(CrowdSettings(interface=interface, peer_port=PORT), (), server)
    async with torrent(tmp_path) as (_, file):
        coming = asyncio.create_task(taken(swarm(station, file, kept_at(tmp_path / "pc"))))
        async with asyncio.timeout(300):
            while not (found := listening()):
                assert not coming.done()
                await asyncio.sleep(0.02)
        coming.cancel()
        await asyncio.wait([coming])
    assert found == listens


def listening() -> set[str]:
    """Addresses."""
    found = psutil.net_connections("tcp4")
    return {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN and each.laddr.port == PORT}


@pytest.mark.parametrize(("allowed", "answer"), [(("10.81.0.0/24",), b""), (("10.81.0.0/24", "fd81::/64"), GREETING)])
async def test_who_is_not_allowed_is_not_answered_by_ipv6_either(
    card: str, tmp_path: Path, allowed: tuple[str, ...], answer: bytes
) -> None:
    image, file = kept_at(tmp_path / "pc").file, tmp_path / "torrent"
    file.write_bytes(make_torrent(image, "http://192.0.2.1:6969/announce"))
    station = station_of(CrowdSettings(interface=card, peer_port=PORT), tuple(map(ip_network, allowed)), ADDRESS)
    with image.open("rb") as gift:
        share = Share(torrent=base64.b64encode(file.read_bytes()).decode(), place=f"{gift.fileno()}", whole=True)
        async with asyncio.timeout(300), taking_part(station.order([share]), gift.fileno()) as flow:
            await heard(flow)
            wanted = info_hash(read_torrent(file))
            while await greeted(ADDRESS, wanted) != GREETING:  # noqa: ASYNC110 - it listens before it has the image
                await asyncio.sleep(0.02)
            assert await greeted(ADDRESS_6, wanted) == answer


async def greeted(address: str, image: bytes) -> bytes:
    """What the peer says to somebody who asks for the image."""
    try:
        reader, writer = await asyncio.open_connection(address, PORT)
    except ConnectionRefusedError:
        return b""
    try:
        writer.write(GREETING + bytes(8) + image + b"-XX0001-" + os.urandom(12))
        return await reader.read(len(GREETING))
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
