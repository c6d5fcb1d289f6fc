"""udp-receiver as it may end: programs of that name that do one thing each. They run as whoever runs the tests."""

from __future__ import annotations

import os
import time
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from ogagent.crowd.station import Station
from ogagent.crowd.udpcast import Udpcast
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from tests.simulator.crowd.room import runs

SIZE: Final = 10_000_000
CONNECTED: Final = "echo 'Connected as #0 to 10.78.0.1' >&2"


class Fake:
    """A udp-receiver that ``does`` this in the shell."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._own = folder / "pid"

    def does(self, script: str) -> None:
        program = self._folder / "udp-receiver"
        program.write_text(f"#!/bin/sh\necho $$ > '{self._own}'\n{script}\n")
        program.chmod(0o755)
        self._monkeypatch.setenv("PATH", f"{self._folder}", prepend=os.pathsep)

    @property
    def is_there(self) -> bool:
        return self.was_there and runs(int(self._own.read_text()))

    @property
    def was_there(self) -> bool:
        """It has come so far that it says who it is."""
        return self._own.exists() and self._own.read_text().endswith("\n")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path, monkeypatch)


async def taken(join_timeout_s: float = 60, stall_s: float = 60, backlog: int = SIZE) -> bytes:
    """All that comes of it, in order."""
    station = Station(interface="lo", join_timeout_s=join_timeout_s, stall_s=stall_s, account=None)
    session = Session(engine="udpcast", port=9400)
    arrivals, found = Udpcast(session, station, Ranges(0, SIZE), time.monotonic, backlog=backlog), b""
    async with aclosing(arrivals.stretches()) as stretches:
        async for start, stop in stretches:
            found += await arrivals.read(start, stop)
    return found


async def test_all_of_it(fake: Fake) -> None:
    fake.does(f"{CONNECTED}; printf image")
    assert await taken() == b"image"


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("exit 0", "udp-receiver has ended before anything came"),
        ("exit 1", "udp-receiver failed with status 1 before"),
        ("echo 'bind to portbase: in use' >&2; exit 255", "status 255: bind to portbase: in use before"),
        ("kill -KILL $$", "was ended by signal 9 before"),
        ("printf image", "udp-receiver has ended before"),
    ],
)
async def test_it_ends_before_it_has_joined(fake: Fake, end: str, why: str) -> None:
    fake.does(end)
    with pytest.raises(SessionNotJoined, match=why):
        await taken()


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("echo 'Dropped by server' >&2; exit 1", "status 1: Dropped by server"),
        ("exit 255", "failed with status 255"),
        ("kill -KILL $$", "was ended by signal 9"),
        ("kill -SEGV $$", "was ended by signal 11"),
    ],
)
async def test_it_ends_amid_the_image(fake: Fake, end: str, why: str) -> None:
    fake.does(f"{CONNECTED}; printf image; {end}")
    with pytest.raises(MulticastFailed, match=why):
        await taken()


async def test_it_ends_well_with_nothing(fake: Fake) -> None:
    """As of a session of an empty file: what is missing comes from the repository."""
    fake.does(CONNECTED)
    assert await taken() == b""


async def test_silence_before_it_has_joined(fake: Fake) -> None:
    fake.does("exec sleep inf")
    with pytest.raises(SessionNotJoined, match="nobody sends"):
        await taken(join_timeout_s=3)
    assert fake.was_there
    assert not fake.is_there


async def test_silence_before_the_image(fake: Fake) -> None:
    fake.does(f"{CONNECTED}; exec sleep inf")
    with pytest.raises(SessionNotJoined, match=r"has not begun|nobody sends"):
        await taken(join_timeout_s=3)
    assert fake.was_there
    assert not fake.is_there


async def test_silence_amid_the_image(fake: Fake) -> None:
    fake.does(f"{CONNECTED}; printf image; exec sleep inf")
    with pytest.raises(MulticastFailed, match="nothing has come"):
        await taken(stall_s=0.5)
    assert not fake.is_there


async def test_more_than_the_image(fake: Fake) -> None:
    """What lies beyond it is let go by, however much it is."""
    fake.does(f"{CONNECTED}; head -c {5 * SIZE} /dev/zero")
    assert await taken() == bytes(SIZE)


async def test_more_complaints_than_anybody_reads(fake: Fake) -> None:
    fake.does(f"{CONNECTED}; head -c {SIZE} /dev/zero >&2; printf image")
    assert await taken() == b"image"


async def test_it_does_not_go_when_it_is_asked_to(fake: Fake) -> None:
    fake.does(f"trap '' INT TERM; {CONNECTED}; printf image; while :; do sleep 1; done")
    with pytest.raises(MulticastFailed, match="nothing has come"):
        await taken(stall_s=0.5)
    assert not fake.is_there
