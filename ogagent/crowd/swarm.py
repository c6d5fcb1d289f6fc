"""Peers: PCs that give each other what each of them has, by BitTorrent. The file that they fill is the CACHE's own."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec

from ogagent.crowd.arrivals import Givers, InStorage, Need, Storage
from ogagent.crowd.order import IMAGE, Came, Order, Outlook, Share, Torrent, Word
from ogagent.crowd.pieces import TURNS, Patience, Pieces
from ogagent.crowd.station import ENGINE, Station
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from ogagent.system import process
from ogagent.system.flow import Flow
from ogagent.system.text import printable

MODULE: Final = "libtorrent"
LONGEST: Final = 16 << 20
"""Of a .torrent, in bytes."""


class Swarm(InStorage):
    """Implements ``ogagent.crowd.arrivals.Arrivals``: what has come is in the storage, and read from there.

    Where peers give nothing any more it stays: what the repository then gives to one of them is given to the others.
    """

    givers: Final[Givers] = "peers"
    repeats: Final = False

    def __init__(
        self, session: Session, station: Station, torrent: bytes, need: Need, storage: Storage, turns: float = TURNS
    ) -> None:
        """They are waited for ``turns`` times the station's ``stall_s``, once some of it has come."""
        self.gives = session.uploads
        self._session = session
        self._station = station
        self._torrent = torrent
        self._need = need
        self._storage = storage
        self._turns = turns
        self._filled = Ranges()
        """By this PC, before there was anybody to be told."""
        self._pieces: Pieces | None = None
        self._flow: Flow | None = None

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        account = self._station.account or ENGINE
        async with (
            self._storage.lent(IMAGE, account.uid, account.gid, told=self._fill) as folder,
            taking_part(self._order(folder), folder) as flow,
        ):
            pieces = await self._joined(flow)
            async with aclosing(self._coming(flow, pieces)) as coming:
                async for stretch in coming:
                    self._storage.came(*stretch, self.givers)
                    yield stretch
            while self.gives and await flow.line():  # what others get is not told
                pass

    async def _joined(self, flow: Flow) -> Pieces:
        try:
            async with asyncio.timeout(self._station.join_timeout_s):
                torrent = await heard(flow)
        except TimeoutError:
            raise SessionNotJoined("the program that speaks with peers says nothing") from None
        if not isinstance(torrent, Torrent) or torrent.size != self._need.size or not torrent.piece:
            problem = printable(getattr(torrent, "problem", "")) or "it is that of another image"
            raise SessionNotJoined(
                f"the image's .torrent cannot be used: {problem}", hint="make it again at the repository"
            )
        self._flow, self._pieces = flow, Pieces(torrent.piece, torrent.size, self._storage.there)
        for stretch in self._filled:
            self._fill(*stretch)
        return self._pieces

    async def _coming(self, flow: Flow, pieces: Pieces) -> AsyncGenerator[tuple[int, int], None]:
        """What peers have given."""
        missing, now = set(pieces.of(self._need.wanted)), asyncio.get_running_loop().time
        patience = Patience(self._station.join_timeout_s, self._station.stall_s, self._turns, now())
        while missing:
            try:
                async with asyncio.timeout_at(patience.until):
                    word = await heard(flow)
            except TimeoutError:
                self._need.dried_up(patience.end())
                continue
            if isinstance(word, Outlook):
                patience.outlook(now(), hopeful=word.hopeful)
            elif isinstance(word, Came) and word.piece in missing:
                start, stop = pieces.span(word.piece)
                patience.came(now(), stop - start)
                missing.remove(word.piece)
                if pieces.came(word.piece):
                    yield pieces.span(word.piece)

    def _fill(self, start: int, stop: int) -> None:
        """The repository has given it, and it is in the file: now others can have it."""
        if self._flow is None or self._pieces is None:
            self._filled.add(start, stop)
            return
        if whole := self._pieces.filled(start, stop):
            self._flow.tell(b"".join(b"%d\n" % piece for piece in whole))

    def _order(self, folder: int) -> Order:
        share = Share(
            torrent=base64.b64encode(self._torrent).decode(),
            place=f"{folder}/{IMAGE}",
            have=[bound for pair in self._storage.there for bound in pair],
            want=[bound for pair in self._need.wanted for bound in pair],
            tracker=self._station.repository,
        )
        return self._station.order([share], uploads=self._session.uploads)

    def wrong(self, start: int, stop: int) -> None: ...


@asynccontextmanager
async def taking_part(order: Order, *fds: int) -> AsyncIterator[Flow]:
    """A peer, in a process of its own that has these descriptors."""
    command = [sys.executable, "-I", "-m", "ogagent.crowd.peer"]
    async with process.flowing(command, fds=fds, hears=True) as flow:
        flow.tell(msgspec.json.encode(order) + b"\n")
        yield flow


async def heard(flow: Flow) -> Word:
    """From the process, which is believed nothing. Raises MulticastFailed."""
    try:
        line = await flow.line()
        if line:
            return msgspec.json.decode(line, type=Word)
    except ValueError as error:  # also of a line without end
        raise MulticastFailed(f"the program that speaks with peers said what nobody understands: {error}") from None
    raise MulticastFailed(f"the program that speaks with peers {await flow.outcome() or 'has ended'}")
