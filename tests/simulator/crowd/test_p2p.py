"""p2p: a torrent beside the image, our tracker and our seed, and clients that others have written."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import libtorrent as lt
import pytest

from simulator.repository.crowd.bencode import Value, encode
from simulator.repository.crowd.offer import TRACKER_PORT, Crowd
from tests.simulator.crowd.room import DATA, IMAGE, LOOPBACK, Repository, at, done, repository

pytestmark = pytest.mark.xdist_group("room")

LEECH = """
import sys, time
import libtorrent as lt
torrent, folder, address = sys.argv[1:]
off = dict.fromkeys(("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp"), False)
session = lt.session({"listen_interfaces": address + ":6881", "allow_multiple_connections_per_ip": True, **off})
wanted = lt.load_torrent_file(torrent)
wanted.save_path = folder
handle = session.add_torrent(wanted)
while not handle.status().is_seeding:
    session.wait_for_alert(100)
    session.pop_alerts()
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Repository]:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as found:
        yield found


def torrent(served: Repository) -> Path:
    return served.images / f"{IMAGE}.img.torrent"


async def test_aria2_fetches_it(served: Repository, tmp_path: Path) -> None:
    session = await served.begin("p2p", wait=30)
    assert (session["method"], session["state"], session["address"]) == ("p2p peer:30", "waiting", "")
    options = ("--seed-time=0", "--enable-dht=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false")
    command = ["aria2c", *options, "--interface=127.0.2.2", "--listen-port=6881", "-d", tmp_path / "pc1"]
    async with at("", [*command, torrent(served)]) as fetching:
        status, said = await done(fetching)
    assert status == 0, said
    assert (tmp_path / "pc1" / "ubuntu.img").read_bytes() == DATA
    await served.until(session, "sending")
    assert (await served.cancel(session))["state"] == "cancelled"


async def test_two_with_libtorrent(served: Repository, tmp_path: Path) -> None:
    session = await served.begin("p2p", speed=400)
    async with AsyncExitStack() as stack:
        fetching = []
        for address in ("127.0.2.2", "127.0.2.3"):
            (tmp_path / address).mkdir()
            command = [sys.executable, "-c", LEECH, torrent(served), tmp_path / address, address]
            fetching.append(await stack.enter_async_context(at("", command)))
        assert [await done(each) for each in fetching] == [(0, ""), (0, "")]
    assert {(tmp_path / each / "ubuntu.img").read_bytes() for each in ("127.0.2.2", "127.0.2.3")} == {DATA}
    await served.cancel(session)


async def test_the_torrent_is_what_libtorrent_reads(served: Repository) -> None:
    await served.begin("p2p")
    read = lt.load_torrent_file(str(torrent(served)))
    assert read.trackers == [f"http://{LOOPBACK}:{TRACKER_PORT}/announce"]
    assert read.ti
    assert (read.ti.piece_length(), read.ti.total_size(), read.ti.name()) == (1 << 20, len(DATA), "ubuntu.img")


async def test_a_torrent_that_is_there_is_used(served: Repository) -> None:
    """Also one with larger pieces and another tracker, as OpenGnsys makes them."""
    info: Value = {
        b"length": len(DATA),
        b"name": b"ubuntu.img",
        b"piece length": 4 << 20,
        b"pieces": hashlib.sha1(DATA).digest(),
    }
    foreign = encode({b"announce": b"http://192.0.2.1:6969/announce", b"info": info})
    torrent(served).write_bytes(foreign)
    await served.begin("p2p")
    assert torrent(served).read_bytes() == foreign


async def test_of_another_version_of_the_image_it_is_made_anew(served: Repository) -> None:
    await served.cancel(await served.begin("p2p"))
    before = torrent(served).read_bytes()
    image = served.images / f"{IMAGE}.img"
    image.write_bytes(DATA[::-1])
    await served.cancel(await served.begin("p2p"))
    assert torrent(served).read_bytes() != before


async def test_an_image_that_is_not_what_the_torrent_says_is_not_given(served: Repository, tmp_path: Path) -> None:
    session = await served.begin("p2p")
    spoil(served.images / f"{IMAGE}.img")
    command = ["aria2c", "--seed-time=0", "--bt-stop-timeout=5", "--interface=127.0.2.2", "-d", tmp_path / "pc1"]
    async with at("", [*command, torrent(served)]) as fetching:
        assert (await done(fetching))[0] != 0
    await served.cancel(session)


@pytest.mark.parametrize(
    "new", [DATA[::-1], DATA[::-1] + b"longer", DATA[: 1 << 20]], ids=["equal", "longer", "shorter"]
)
async def test_a_new_version_gets_the_name_in_its_midst(served: Repository, tmp_path: Path, new: bytes) -> None:
    """What a PC has of the old one is not written over it."""
    session = await served.begin("p2p")
    (tmp_path / "new").write_bytes(new)
    (tmp_path / "new").replace(served.images / f"{IMAGE}.img")
    (tmp_path / "pc1").mkdir()
    (tmp_path / "pc1" / "ubuntu.img").write_bytes(DATA[: 2 << 20])
    async with at("", [sys.executable, "-c", LEECH, torrent(served), tmp_path / "pc1", "127.0.2.2"]):
        said = await served.until(session, "failed")
    assert said["status"] == 1
    assert (served.images / f"{IMAGE}.img").read_bytes() == new


def spoil(image: Path) -> None:
    with image.open("r+b") as file:
        file.write(b"spoiled")
