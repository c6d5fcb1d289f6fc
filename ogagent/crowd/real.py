"""Which engine takes part in which session, and whether this PC should."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from importlib.util import find_spec
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ogagent.crowd import swarm, udpcast, uftp
from ogagent.crowd.arrivals import Arrivals, Need
from ogagent.crowd.gifts import SIDECAR
from ogagent.crowd.request import request_multicast
from ogagent.crowd.station import ENGINE, Station, interface_to, speed_of
from ogagent.errors import SessionNotJoined
from ogagent.model.method import Engine, Session
from ogagent.model.repository import Networks
from ogagent.model.units import format_speed
from ogagent.settings import CrowdSettings
from ogagent.system import process

_SUFFIX: Final = ".img"
_NO_CACHE: Final = "what comes in any order is kept in the CACHE: this PC has none, or does not use it"
_DIRECT: Final = "use multicast-direct, which needs none"
_ENOUGH: Final = 0.75
"""Of the session's speed: udpcast makes all wait for the slowest of them."""


def missing_engines() -> dict[Engine, str]:
    """Those that cannot take part in sessions here, and what there is to do about it. Blocking."""
    missing: dict[Engine, str] = {}
    if not process.is_installed(udpcast.PROGRAM):
        missing["udpcast"] = "apt install udpcast"
    if not process.is_installed(uftp.PROGRAM):
        missing["uftp"] = "apt install uftp"
    if find_spec(swarm.MODULE) is None:
        missing["p2p"] = "apt install ogagent-p2p, or pip install 'ogagent[p2p]'"
    return missing


def station_of(settings: CrowdSettings, networks: Networks, address: str) -> Station:
    """Of this PC, at ``address`` or at the card that ``crowd.interface`` names; for whatever is no multicast."""
    return Station(
        interface=settings.interface,
        join_timeout_s=settings.join_timeout_s,
        stall_s=settings.stall_s,
        account=ENGINE if os.geteuid() == 0 else None,
        address=settings.interface or address,
        peer_port=settings.peer_port,
        upload_limit=settings.upload_limit,
        networks=networks,
    )


class RealCrowding(Struct, frozen=True):
    """Implements ``ogagent.restore.crowd.Crowding``."""

    settings: CrowdSettings
    networks: Networks
    address: str
    """At which this PC is reached."""
    spread_s: float = 5.0

    @property
    def fallback(self) -> bool:
        return self.settings.fallback

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:
        station = await asyncio.to_thread(self._station, repository)
        if session.engine == "p2p":
            return await _swarm(session, station, need)
        if session.engine == "uftp":
            return _uftp(session, station, image, need)
        return await self._udpcast(session, station, image, need)

    async def _udpcast(self, session: Session, station: Station, image: str, need: Need) -> Arrivals:
        speed = await asyncio.to_thread(speed_of, station.interface)
        if 0 < speed < _ENOUGH * session.speed:
            raise SessionNotJoined(
                f"{station.interface} has {format_speed(speed)}, the session {format_speed(session.speed)}",
                hint="look at the cable and the switch: a slow link makes all PCs of the session wait",
            )
        ask = None
        if self.settings.request == "legacy" and session.options:
            ask = partial(request_multicast, station.repository, image + _SUFFIX, session.options)
        return udpcast.Udpcast(session, station, need.wanted, time.monotonic, ask)

    def _station(self, repository: str) -> Station:
        interface = self.settings.interface or interface_to(repository)
        if not interface:
            raise SessionNotJoined(f"no network card leads to {repository}", hint="see crowd.interface")
        station = station_of(self.settings, self.networks, self.address)
        return replace(station, interface=interface, repository=repository)


def _uftp(session: Session, station: Station, image: str, need: Need) -> Arrivals:
    if need.storage is None:
        raise SessionNotJoined(_NO_CACHE, hint=_DIRECT)
    return uftp.Uftp(session, station, f"{image.rpartition('/')[2]}{_SUFFIX}", need.size, need.storage, time.monotonic)


async def _swarm(session: Session, station: Station, need: Need) -> Arrivals:
    if need.storage is None:
        raise SessionNotJoined(_NO_CACHE, hint=_DIRECT)
    torrent = await need.sidecar(SIDECAR, swarm.LONGEST)
    if torrent is None:
        raise SessionNotJoined("the repository has no .torrent of the image", hint="start the session there first")
    return swarm.Swarm(session, station, torrent, need, need.storage)
