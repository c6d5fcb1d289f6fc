"""A tracker (BEP 3, with the compact answers of BEP 23): it tells the PCs that fetch an image of each other."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import web
from msgspec import Struct

from simulator.repository.crowd.bencode import Value, encode
from simulator.repository.crowd.torrents import Torrents

_INTERVAL_S: Final = 15
_GONE_AFTER_S: Final = 4 * _INTERVAL_S
MOST_PEERS: Final = 1000
_MOST_SWARMS: Final = 1000
"""Images get new versions, and with them other torrents; the oldest swarm makes room."""
_MOST_TOLD: Final = 50
_HASH: Final = 20


class Peer(Struct, frozen=True):
    place: bytes
    """Address and port, as compact answers have them."""
    left: int
    until: float


class Refused(Exception):
    """Told to the peer as the ``failure reason``."""


class Tracker:
    """Of the torrents beside the images, and of no other."""

    def __init__(self, torrents: Torrents, most_peers: int = MOST_PEERS) -> None:
        """``most_peers`` of each of them are known at once."""
        self._torrents = torrents
        self._most_peers = most_peers
        self._swarms: dict[bytes, dict[bytes, Peer]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/announce", self._announce)
        return app

    async def _announce(self, request: web.Request) -> web.Response:
        """A refusal, too, has the status 200."""
        try:
            told = await self._answer(_query(request), request.remote or "")
        except Refused as why:
            told = {b"failure reason": str(why).encode()}
        return web.Response(body=encode(told), content_type="text/plain")

    async def _answer(self, query: Mapping[str, bytes], remote: str) -> dict[bytes, Value]:
        info_hash, name = query.get("info_hash", b""), query.get("peer_id", b"")
        if len(info_hash) != _HASH or len(name) != _HASH:
            raise Refused("info_hash and peer_id have 20 bytes each")
        place = _place(remote, _number(query, "port"))
        if not await asyncio.to_thread(self._torrents.has, info_hash):
            self._swarms.pop(info_hash, None)
            raise Refused("no image of this repository has this torrent")
        now = asyncio.get_running_loop().time()
        if info_hash not in self._swarms and len(self._swarms) >= _MOST_SWARMS:
            del self._swarms[next(iter(self._swarms))]
        swarm = self._swarms.setdefault(info_hash, {})
        for gone in [each for each, peer in swarm.items() if peer.until < now]:
            del swarm[gone]
        swarm.pop(name, None)
        others = list(swarm.values())
        if query.get("event") != b"stopped":
            if len(swarm) >= self._most_peers:
                raise Refused("there are too many peers")
            swarm[name] = Peer(place, _number(query, "left"), now + _GONE_AFTER_S)
        whole = sum(peer.left == 0 for peer in swarm.values())
        wanted = min(_number(query, "numwant", _MOST_TOLD), _MOST_TOLD, len(others))
        return {
            b"interval": _INTERVAL_S,
            b"complete": whole,
            b"incomplete": len(swarm) - whole,
            b"peers": b"".join(peer.place for peer in random.sample(others, wanted)),
        }


def _query(request: web.Request) -> dict[str, bytes]:
    """Its values are bytes, and no text in any encoding."""
    pairs = (pair.partition("=") for pair in request.raw_path.partition("?")[2].split("&"))
    return {name: unquote_to_bytes(value) for name, _, value in pairs}


def _number(query: Mapping[str, bytes], name: str, otherwise: int | None = None) -> int:
    text = query.get(name, b"")
    if not text and otherwise is not None:
        return otherwise
    if not text.isdigit() or len(text) > 18:
        raise Refused(f"{name} is no number")
    return int(text)


def _place(remote: str, port: int) -> bytes:
    if not 1 <= port <= 65535:
        raise Refused("a peer has a port")
    try:
        return IPv4Address(remote).packed + struct.pack(">H", port)
    except ValueError:
        raise Refused("a peer has an IPv4 address") from None
