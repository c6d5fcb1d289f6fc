"""The PCs of a session tell each other how much of it has come to them. Nothing else depends on it."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from ogagent.crowd.pace import Pace
from ogagent.crowd.station import Station
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.repository import is_within
from ogagent.system.beside import beside
from ogagent.system.datagrams import received

_log: Final = logging.getLogger(__name__)

ALL: Final = "224.0.0.1"
"""All that are on this network: no switch keeps it back, and no router passes it on. RFC 1112, 4, and 4541, 2.1.2."""
_LEAST: Final = 0.75
"""Of what others get; whoever gets less is one for whom they wait."""
_TELL_S: Final = 0.25
_SURE_S: Final = 1.5
"""Whoever has joined as the last one sees it within this time, even where others get the first bytes before it does."""
_WAITING: Final = 64
_LONGEST: Final = 256


class Word(Struct, frozen=True):
    """``port`` is that of the session; ``packets`` counts what has come to whoever says it, from any time on.
    Where more was lost than has come to many, it is less than nothing. ``receiving``: some of the image has come.
    (Packets do not tell that: to one client alone udpcast sends unicast.)
    """

    port: int
    packets: Annotated[int, Meta(ge=-(2**62), le=2**62)]
    receiving: bool = False


class Neighbours(asyncio.DatagramProtocol):
    """``begun`` is done when one of them gets the image, whether this PC has joined or not, and ``behind`` when it gets
    less than they do; its result is the share of what they get. ``receiving`` is what this PC says of itself.
    """

    def __init__(self, port: int, station: Station, now: Callable[[], float]) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.behind: asyncio.Future[float] = loop.create_future()
        self.receiving = False
        self._port = port
        self._station = station
        self._now = now
        self._pace = Pace()
        self._heard_of_it: float | None = None
        self._words: asyncio.Queue[tuple[str, Word]] = asyncio.Queue(_WAITING)

    def check(self, *, joined: bool) -> None:
        """Whether this PC need not wait for the session any more, or should leave it. Raises CrowdError."""
        if not joined and self.begun.done():
            raise SessionNotJoined(
                "the session has begun without this PC", hint="call all PCs at once; peers (p2p) take in late ones"
            )
        if joined and self.behind.done():
            raise MulticastFailed(
                f"this PC gets {self.behind.result():.0%} of the packets that others get",
                hint="look at its cable, and at the port of its switch; others would wait for it",
            )

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """From anybody: what makes no sense is not worth a line in the log, and what is too much is not heard."""
        if len(data) > _LONGEST or not is_within(addr[0], self._station.networks):
            return
        with suppress(msgspec.DecodeError, asyncio.QueueFull):
            word = msgspec.json.decode(data, type=Word)
            if word.port == self._port:
                self._words.put_nowait((addr[0], word))

    async def listen(self) -> None:
        while not self.behind.done():
            other, word = await self._words.get()
            if word.receiving:
                self._it_has_begun()
            self._pace.heard(other, word.packets, await asyncio.to_thread(received), self._now())
            if (share := self._pace.share) is not None and share < _LEAST:
                self.behind.set_result(share)

    def _it_has_begun(self) -> None:
        now = self._now()
        if self._heard_of_it is None:
            self._heard_of_it = now
        if now - self._heard_of_it >= _SURE_S and not self.begun.done():
            self.begun.set_result(None)

    async def tell(self, transport: asyncio.DatagramTransport) -> None:
        while True:
            word = Word(self._port, await asyncio.to_thread(received), self.receiving)
            transport.sendto(msgspec.json.encode(word), (ALL, self._station.peer_port))
            await asyncio.sleep(_TELL_S)


@asynccontextmanager
async def among_neighbours(port: int, station: Station, now: Callable[[], float]) -> AsyncIterator[Neighbours]:
    """As long as this PC waits for the session of this ``port``, or takes part. Where they cannot be heard, nothing is
    known of them.
    """
    neighbours, loop = Neighbours(port, station, now), asyncio.get_running_loop()
    try:
        await asyncio.to_thread(received)
        transport, _ = await loop.create_datagram_endpoint(lambda: neighbours, sock=_voice(station))
    except (OSError, ValueError) as error:
        _log.warning("the other PCs of the session cannot be heard: %s", error)
        yield neighbours
        return
    try:
        async with (
            beside("listening to the other PCs", neighbours.listen),
            beside("telling the other PCs", lambda: neighbours.tell(transport)),
        ):
            yield neighbours
    finally:
        transport.close()


def _voice(station: Station) -> socket.socket:
    """On the network that leads to them. Its own words do not come back. Raises OSError."""
    voice = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        card = struct.pack("@4s4si", bytes(4), bytes(4), socket.if_nametoindex(station.interface))  # ip(7), ip_mreqn
        voice.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, card)
        voice.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        voice.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        voice.bind((ALL, station.peer_port))
    except OSError:
        voice.close()
        raise
    return voice
