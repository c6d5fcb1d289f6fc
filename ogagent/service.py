"""Where the agent is put together, started and stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import psutil
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ogagent import __version__
from ogagent.disk.machine import CacheStore, Machine
from ogagent.errors import SettingsError
from ogagent.functions.function import Equipment
from ogagent.functions.table import KINDS, Functions
from ogagent.http.access import make_access
from ogagent.http.app import make_app
from ogagent.http.listener import Door, listening
from ogagent.http.secret import agent_secret
from ogagent.image.signature import public_key
from ogagent.jobs.adoption import adopt_unknown
from ogagent.jobs.cache_shelf import CacheShelf
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.recovery import settle_unended
from ogagent.model.job import Job
from ogagent.ogcore.address import LocalAddress, local_address
from ogagent.ogcore.finals import FinalStore
from ogagent.ogcore.outbox import NoOutbox, Outbox, Reporter
from ogagent.ogcore.registration import Registration, spread_s
from ogagent.ogcore.webhook import Webhook, open_session
from ogagent.power.power import Power
from ogagent.restore.caching import Caching
from ogagent.settings import Settings
from ogagent.source.source import SourcePolicy
from ogagent.system import clock
from ogagent.system.beside import beside
from ogagent.system.lock import held_alone
from ogagent.system.metrics import Metrics
from ogagent.system.systemd import Notifier
from ogagent.system.tls import ServerIdentity, client_context, given_identity, own_identity, server_context

_log: Final = logging.getLogger(__name__)
_REPORT_GRACE_S: Final = 10.0
_STATUS_EVERY_S: Final = 1.0
_LOOK_S: Final = 30.0
"""So long the start waits for the disks to say what an earlier agent has left."""


def source_policy(settings: Settings) -> SourcePolicy:
    """Raises SettingsError."""
    return SourcePolicy(
        tls=client_context(settings.repository.ca, "repository.ca"),
        networks=settings.repository.networks,
        stall_timeout_s=settings.restore.stall_timeout_s,
        retry_for_s=settings.restore.retry_for_s,
        max_window=settings.restore.max_window,
        files_within=settings.repository.directory,
        public_keys=[_public_key(Path(path)) for path in settings.repository.public_keys],
    )


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        return public_key(path.read_bytes(), str(path))
    except OSError as error:
        raise SettingsError(f"repository.public_keys: {path} cannot be read: {error.strerror}") from error


async def run(settings: Settings, machine: Machine, store: CacheStore, power: Power) -> None:
    """Serves until SIGTERM or SIGINT. Raises SettingsError when it cannot begin to."""
    notifier = Notifier.from_environment(os.environ)
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    async with AsyncExitStack() as stack:
        # Before anything in there is looked at: who comes second must not end the jobs of who was first.
        await asyncio.to_thread(stack.enter_context, held_alone(Path(settings.state.dir)))
        await asyncio.to_thread(_doubt_the_clock)
        identity = await asyncio.to_thread(_identity, settings)
        secret = await asyncio.to_thread(agent_secret, settings.access)
        policy = await asyncio.to_thread(source_policy, settings)
        journal = await asyncio.to_thread(Journal.open, Path(settings.state.dir))
        stack.callback(journal.close)
        shelf = CacheShelf(machine, store)
        copies, numbers = Copies(journal, machine, shelf, KINDS), ToldNumbers(journal, shelf)
        caching = Caching(store, settings.cache.on_full)
        equipment = Equipment(settings=settings, machine=machine, policy=policy, power=power, caching=caching)
        functions = Functions(equipment)
        disks = MarkedDisks(machine, journal)
        await _settle(settings, disks, journal, copies, functions)
        await numbers.recall()
        finals, known = FinalsInJournal(journal, copies, numbers), asyncio.Event()
        ogcore = _ogcore(settings, secret, identity.fingerprint, finals, known)
        reporter, registration = await stack.enter_async_context(ogcore)
        metrics = Metrics()
        jobs = JobManager(
            disks=disks,
            reporter=reporter,
            journal=journal,
            metrics=metrics,
            numbers=numbers,
            copies=copies,
            history=await asyncio.to_thread(journal.history),
        )
        metrics.watch(lambda: len(jobs.running), reporter.backlog)
        app = make_app(jobs, functions, make_access(settings.access, secret), metrics)
        door = await stack.enter_async_context(_listening(app, settings, identity))
        notifier.ready()
        async with beside("the watchdog's heartbeat", notifier.keep_alive):
            async with (
                beside("the registration with ogCore", partial(registration.keep, known)),
                beside("the line in systemctl status", partial(_tell_status, jobs, notifier)),
                beside("the answer to SIGHUP", partial(_renew_client_ca, hangup, door, settings, identity)),
            ):
                await stop.wait()
            _log.info("stopping")
            notifier.stopping()
            await jobs.aclose()
            await reporter.aclose(_REPORT_GRACE_S)
            await copies.aclose()
            await numbers.aclose()
            await registration.stop()


def _doubt_the_clock() -> None:
    if reason := clock.doubt(datetime.now(UTC), clock.built(Path(__file__).parent)):
        _log.warning("%s", reason)


async def _settle(
    settings: Settings, disks: MarkedDisks, journal: Journal, copies: Copies, functions: Functions
) -> None:
    """What an earlier agent has left, in the journal or, where that was lost with the power, elsewhere."""
    report = bool(settings.ogcore.url)
    try:
        await settle_unended(journal, disks, KINDS, functions.recoveries, report=report)
    except sqlite3.Error:
        _log.exception("jobs of an earlier agent stay as they are in the journal until the next start")
    try:
        async with asyncio.timeout(_LOOK_S):
            await adopt_unknown(journal, disks, copies, KINDS, report=report)
    except Exception:  # noqa: BLE001 - whatever it is: an agent that cannot settle the past must start all the same
        _log.exception("what the partitions say of unfinished jobs waits until the next start")


async def _tell_status(jobs: JobManager, notifier: Notifier) -> None:
    told = ""
    while True:
        text = "; ".join(_status_of(job, title) for job, title in jobs.running) or "waiting for calls"
        if text != told:
            notifier.status(text)
            told = text
        await asyncio.sleep(_STATUS_EVERY_S)


def _status_of(job: Job, title: str) -> str:
    return f"{job.job_id}, {title}: {job.phase or 'ready'} {job.progress} %"


def _identity(settings: Settings) -> ServerIdentity:
    server = settings.server
    if server.certificate:
        return given_identity(Path(server.certificate), Path(server.key))
    interfaces = [each.address for found in psutil.net_if_addrs().values() for each in found]
    addresses = [address for address in interfaces if _is_plain_address(address)]
    if not ip_address(server.address).is_unspecified:
        addresses.append(server.address)
    return own_identity(Path(settings.state.dir), sorted(set(addresses)))


def _is_plain_address(address: str) -> bool:
    with suppress(ValueError):
        return not ip_address(address).is_link_local
    return False


class _NoRegistration:
    """For an agent that tells nobody that it is there."""

    async def keep(self, known: asyncio.Event) -> None:
        known.set()

    async def stop(self) -> None: ...


@asynccontextmanager
async def _ogcore(
    settings: Settings, secret: str, fingerprint: str, finals: FinalStore, known: asyncio.Event
) -> AsyncIterator[tuple[Reporter, Registration | _NoRegistration]]:
    """Those who speak to ogCore; mute ones when there is none."""
    ogcore = settings.ogcore
    if not ogcore.url:
        if settings.access.mode == "secret" and not settings.access.secret_file:
            _log.warning(
                "no ogcore.url and no access.secret_file: nobody learns this agent's secret, so nobody can call it"
            )
        yield NoOutbox(), _NoRegistration()
        return
    address = settings.server.address
    source = "" if ip_address(address).is_unspecified else address
    where: Callable[[], Awaitable[LocalAddress]] = partial(asyncio.to_thread, local_address, ogcore.url, address)
    tls = await asyncio.to_thread(client_context, ogcore.ca, "ogcore.ca")
    async with open_session(tls, source) as session:
        hook = partial(Webhook, session, secret=secret)
        webhook = hook(ogcore.call(ogcore.webhook_path))
        if not ogcore.register:
            yield Outbox(webhook, where, finals, known), _NoRegistration()
            return
        started, stopped = hook(ogcore.call(ogcore.started_path)), hook(ogcore.call(ogcore.stopped_path))
        spread = spread_s(time.clock_gettime(time.CLOCK_BOOTTIME))
        registration = Registration(started, stopped, where, secret, fingerprint, spread)
        yield Outbox(webhook, where, finals, known, forgotten=registration.renew), registration


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings, identity: ServerIdentity) -> AsyncIterator[Door]:
    server = settings.server
    tls = await asyncio.to_thread(server_context, identity, _client_ca(settings))
    async with AsyncExitStack() as stack:
        try:
            door = await stack.enter_async_context(listening(app, server.address, server.port, tls))
        except OSError as error:
            raise SettingsError(f"cannot listen on {server.address} port {server.port}: {error.strerror}") from error
        _log.info(
            "ogagent %s listens on %s port %d, certificate SHA-256 %s",
            __version__, server.address, server.port, identity.fingerprint,
        )  # fmt: skip
        yield door


def _client_ca(settings: Settings) -> str:
    return settings.access.client_ca if settings.access.mode == "certificate" else ""


async def _renew_client_ca(hangup: asyncio.Event, door: Door, settings: Settings, identity: ServerIdentity) -> None:
    """After each SIGHUP. A file that cannot be used changes nothing."""
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            door.tls = await asyncio.to_thread(server_context, identity, _client_ca(settings))
        except (SettingsError, OSError) as error:
            _log.warning("SIGHUP: access.client_ca stays as it was: %s", error)
        else:
            _log.info("SIGHUP: access.client_ca was read again")
