"""What an agent keeps behind its face: in an ogLive all that is done to disks, on an installed system nothing of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from msgspec import Struct

from ogagent.check.state import state_on_cache
from ogagent.crowd.real import missing_engines, station_of
from ogagent.crowd.seeding import Seeding
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError
from ogagent.functions.host import Host
from ogagent.functions.installed import InstalledFunctions, InstalledHost
from ogagent.functions.table import KINDS, Functions
from ogagent.installed.ledger import Ledger
from ogagent.installed.people import Nobody, People
from ogagent.jobs.adoption import adopt_late, adopt_unknown
from ogagent.jobs.cache_shelf import CacheShelf
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Ended
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.recovery import settle_unended
from ogagent.ogcore.registration import OGLIVE
from ogagent.ogcore.wiring import Voices
from ogagent.restore.caching import Caching
from ogagent.settings import Settings
from ogagent.settings_state import StateSettings
from ogagent.source.source import SourcePolicy
from ogagent.system.os_release import system_name

_log: Final = logging.getLogger(__name__)

_LOOK_S: Final = 30.0
"""So long the start waits for the disks to say whether there is a CACHE."""
_PATIENCE_S: Final = 15.0
"""So long ogCore has for the last words of an agent that nobody hurries."""
_SESSIONS: Final = "sessions.json"


class House(Struct, frozen=True, kw_only=True):
    """``copies`` and ``seeding`` are those of an ogLive, ``ledger`` and ``host`` those of an installed system."""

    functions: Functions
    disks: MarkedDisks
    numbers: ToldNumbers
    finals: FinalsInJournal
    ostype: str
    osversion: str
    copies: Copies | None = None
    seeding: Seeding | None = None
    ledger: Ledger | None = None
    host: InstalledHost | None = None

    @property
    def given(self) -> Mapping[str, int]:
        """Bytes that others have got while no job ran, by what for."""
        return {} if self.seeding is None else self.seeding.given

    def people(self, voices: Voices) -> People | None:
        """None in an ogLive, where nobody logs in."""
        if self.host is None:
            return None
        witness = self.ledger if self.ledger is not None and voices.line is not None else Nobody()
        farewell = partial(say_goodbye, voices)
        return People(self.host.logind, self.host.desktop, witness, farewell, partial(say_hello, voices))

    async def aclose(self) -> None:
        if self.copies is not None:
            await self.copies.aclose()
        await self.numbers.aclose()


async def oglive_house(settings: Settings, host: Host, journal: Journal, policy: SourcePolicy) -> House:
    machine = host.machine
    shelf = CacheShelf(machine, host.store)
    copies = Copies(journal, machine, shelf, KINDS, of_all=settings.state.on_cache)
    numbers = ToldNumbers(journal, shelf)
    seeding = await asyncio.to_thread(_seeding, settings, host)
    caching = Caching(host.store, settings.cache.on_full)
    house = House(
        functions=Functions(host.equipment(settings, policy, caching, seeding)),
        disks=MarkedDisks(machine, journal),
        numbers=numbers,
        finals=FinalsInJournal(journal, copies, numbers),
        ostype=OGLIVE,
        osversion=system_name(),
        copies=copies,
        seeding=seeding,
    )
    await _settle(settings, house, journal)
    await numbers.recall()
    if settings.state.on_cache:
        await _doubt_the_cache(settings.state, machine)
    return house


def _seeding(settings: Settings, host: Host) -> Seeding | None:
    if not settings.crowd.enabled or "p2p" in missing_engines():
        return None
    station = station_of(settings.crowd, settings.repository.networks, settings.server.address)
    return Seeding(host.machine, host.store, station, idle=settings.crowd.seed_idle)


async def _doubt_the_cache(state: StateSettings, machine: Machine) -> None:
    """A CACHE that comes later is used all the same."""
    try:
        async with asyncio.timeout(_LOOK_S):
            found = state_on_cache(state, await machine.inventory(thorough=False))
    except (AgentError, TimeoutError) as error:
        _log.warning("nobody knows whether there is a CACHE to keep jobs and reports on: %s", error)
    else:
        if found.hint:
            _log.warning("%s: %s (%s)", found.what, found.said, found.hint)


async def installed_house(settings: Settings, host: InstalledHost, journal: Journal) -> House:
    ledger, numbers = Ledger(settings.state.place / _SESSIONS, host.here), ToldNumbers(journal)
    house = House(
        functions=InstalledFunctions(host, settings),
        disks=MarkedDisks(host.disks, journal),
        numbers=numbers,
        finals=FinalsInJournal(journal, numbers=numbers),
        ostype=host.here.ostype,
        osversion=host.here.osversion,
        ledger=ledger,
        host=host,
    )
    await _settle(settings, house, journal)
    await numbers.recall()
    await ledger.recall()
    return house


async def _settle(settings: Settings, house: House, journal: Journal) -> None:
    """What an earlier agent has left, in the journal or, where that was lost with the power, elsewhere."""
    report = bool(settings.ogcore.url)
    try:
        await settle_unended(journal, house.disks, KINDS, house.functions.recoveries, report=report)
    except sqlite3.Error:
        _log.exception("jobs of an earlier agent stay as they are in the journal until the next start")
    if house.copies is None:
        return
    try:
        await adopt_unknown(journal, house.disks, house.copies, KINDS, report=report)
    except Exception:  # noqa: BLE001 - whatever it is: an agent that cannot settle the past must start all the same
        _log.exception("what the partitions say of unfinished jobs waits until the next start")


def late_news(settings: Settings, house: House, journal: Journal) -> Callable[[], Awaitable[list[Ended]]] | None:
    """Waits for what a CACHE tells that was too slow for the start; None when there is nothing to wait for."""
    if house.copies is None or not house.copies.late:
        return None
    report = bool(settings.ogcore.url)
    return partial(adopt_late, journal, house.disks, house.copies, KINDS, report=report)


async def say_goodbye(voices: Voices, patience_s: float = _PATIENCE_S) -> None:
    """What waits first: who has logged out is told of before the PC counts as off, and not after that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            if voices.line is not None:
                await voices.line.close(patience_s / 2)
            await voices.registration.stop()


def say_hello(voices: Voices) -> None:
    """After a goodbye that was too early."""
    voices.registration.stay()
    if voices.line is not None:
        voices.line.reopen()
