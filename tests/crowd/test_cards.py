"""A PC with several network cards: which one leads to the others is said by ``crowd.interface``."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ogagent.crowd.real import station_of
from ogagent.settings import CrowdSettings
from tests.crowd.test_swarm import kept_at, swarm, taken, torrent
from tests.machine.network import is_own

PORT = 16_881
CARD = "room"
ADDRESS = "10.81.0.1"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not is_own(), reason="cards are made by root, in a network of its own"
)


@pytest.fixture
def card() -> Iterator[str]:
    """Beside ``lo``."""
    ip("link", "add", CARD, "type", "veth", "peer", "name", "far")
    try:
        ip("address", "add", f"{ADDRESS}/24", "dev", CARD)
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
