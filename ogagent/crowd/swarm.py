"""Peers: PCs that give each other what each of them has, by BitTorrent. The file that they fill is the CACHE's own."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncGenerator, Iterator
from typing import Final, TypeVar

import msgspec

from ogagent.crowd.arrivals import Givers, InStorage, Storage
from ogagent.crowd.order import IMAGE, Order, Torrent
from ogagent.crowd.station import ENGINE, Station
from ogagent.errors import CrowdError, MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from ogagent.system import process
from ogagent.system.flow import Flow
from ogagent.system.text import printable

T = TypeVar("T")

MODULE: Final = "libtorrent"
SIDECAR: Final = ".torrent"
LONGEST: Final = 16 << 20
"""Of a sidecar, in bytes: OpenGnsys' own have pieces of 4 MiB, of 20 bytes each."""
_TURNS: Final = 3
"""Peers give in turns, of 15 s in libtorrent, to some at a time: others stall for as long."""


class Swarm(InStorage):
    """Implements ``ogagent.crowd.arrivals.Arrivals``: what has come is in the storage, and read from there."""

    givers: Final[Givers] = "peers"
    repeats: Final = False

    def __init__(
        self, session: Session, station: Station, torrent: bytes, size: int, storage: Storage, wanted: Ranges
    ) -> None:
        self.gives = session.uploads
        self._session = session
        self._station = station
        self._torrent = torrent
        self._size = size
        self._storage = storage
        self._wanted = wanted

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        account = self._station.account or ENGINE
        command = [sys.executable, "-I", "-m", "ogagent.crowd.peer"]
        async with (
            self._storage.lent(IMAGE, account.uid, account.gid) as folder,
            process.flowing(command, fds=(folder,), hears=True) as flow,
        ):
            flow.tell(msgspec.json.encode(self._order(folder)) + b"\n")
            torrent = await self._heard(flow, Torrent, first=True)
            if torrent.size != self._size or torrent.piece <= 0:
                problem = printable(torrent.problem) or "it is that of another image"
                raise SessionNotJoined(
                    f"the image's .torrent cannot be used: {problem}", hint="make it again at the repository"
                )
            missing = set(_pieces(self._wanted, torrent.piece))
            first = True
            while missing:
                number = await self._heard(flow, int, first=first)
                if number in missing:
                    first = False
                    missing.remove(number)
                    start, stop = number * torrent.piece, min((number + 1) * torrent.piece, self._size)
                    self._storage.came(start, stop, self.givers)
                    yield start, stop
            while self.gives and await flow.line():  # what others get is not told
                pass

    def _order(self, folder: int) -> Order:
        station, account = self._station, self._station.account or ENGINE
        return Order(
            torrent=base64.b64encode(self._torrent).decode(),
            folder=folder,
            have=[bound for pair in self._storage.there for bound in pair],
            want=[bound for pair in self._wanted for bound in pair],
            repository=station.repository,
            address=station.address,
            port=station.peer_port,
            allow=[str(network) for network in station.networks],
            uploads=self._session.uploads,
            limit=station.upload_limit,
            uid=account.uid,
            gid=account.gid,
        )

    async def _heard(self, flow: Flow, what: type[T], *, first: bool) -> T:
        """From the process, which is believed nothing."""
        patience_s = self._station.join_timeout_s if first else _TURNS * self._station.stall_s
        failed: type[CrowdError] = SessionNotJoined if first else MulticastFailed
        try:
            async with asyncio.timeout(patience_s):
                line = await flow.line()
                if not line:
                    raise failed(f"the program that speaks with peers {await flow.outcome() or 'has ended'}")
            return msgspec.json.decode(line, type=what)
        except TimeoutError:
            raise failed(f"no peer has given anything for {patience_s:g} s") from None
        except ValueError as error:  # also of a line without end
            raise failed(f"the program that speaks with peers said what nobody understands: {error}") from None

    def wrong(self, start: int, stop: int) -> None: ...


def _pieces(wanted: Ranges, length: int) -> Iterator[int]:
    for start, stop in wanted:
        yield from range(start // length, -(-stop // length))
