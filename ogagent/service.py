"""Where the agent is put together, started and stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ogagent.check.check import check
from ogagent.crowd.seeding import Seeding
from ogagent.errors import SettingsError
from ogagent.functions.host import Host
from ogagent.functions.installed import InstalledHost
from ogagent.house import House, installed_house, late_news, oglive_house, say_goodbye
from ogagent.http.access import make_access
from ogagent.http.app import make_app
from ogagent.http.front import identity_of, open_front, renew_client_ca
from ogagent.http.secret import agent_secret
from ogagent.image.signature import public_key
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.model.job import Job
from ogagent.ogcore.wiring import Myself, speaking
from ogagent.settings import Settings
from ogagent.source.source import SourcePolicy
from ogagent.system import clock
from ogagent.system.beside import beside
from ogagent.system.lock import held_alone
from ogagent.system.metrics import Metrics
from ogagent.system.systemd import Notifier
from ogagent.system.tls import client_context

_log: Final = logging.getLogger(__name__)
_REPORT_GRACE_S: Final = 10.0
_STATUS_EVERY_S: Final = 1.0

Chore = tuple[str, Callable[[], Coroutine[Any, Any, None]]]
"""What it is, for the log; and what goes on as long as the agent does."""


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


async def run(settings: Settings, host: Host | InstalledHost) -> bool:
    """Serves until SIGTERM or SIGINT, or until no job runs after SIGUSR1; then another agent is to be started, which is
    True. Raises SettingsError when it cannot begin to, and InternalError while its journal cannot be used.
    """
    notifier = Notifier.from_environment(os.environ)
    stop, hangup, retire = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    loop.add_signal_handler(signal.SIGUSR1, retire.set)
    async with AsyncExitStack() as stack:
        # Before anything in there is looked at: who comes second must not end the jobs of who was first.
        await asyncio.to_thread(stack.enter_context, held_alone(settings.state.place))
        await asyncio.to_thread(_doubt_the_clock)
        identity = await asyncio.to_thread(identity_of, settings)
        secret = await asyncio.to_thread(agent_secret, settings.access)
        journal = await asyncio.to_thread(Journal.open, settings.state.place)
        stack.callback(journal.close)
        house = await _house(settings, host, journal)
        registered = asyncio.Event()
        myself = Myself(secret=secret, fingerprint=identity.fingerprint, ostype=house.ostype, osversion=house.osversion)
        voices = await stack.enter_async_context(speaking(settings, myself, house.finals, registered, house.ledger))
        metrics = Metrics()
        jobs = JobManager(
            disks=house.disks,
            reporter=voices.reporter,
            journal=journal,
            metrics=metrics,
            numbers=house.numbers,
            copies=house.copies,
            idling=house.seeding,
            history=await asyncio.to_thread(journal.history),
        )
        seeding = house.seeding
        metrics.watch(lambda: len(jobs.running), voices.reporter.backlog, lambda: house.given)
        people = house.people(voices)
        look = partial(check, settings, host.machine if isinstance(host, Host) else None)
        app = make_app(jobs, house.functions, make_access(settings.access, secret), metrics, people, look)
        acceptor = await stack.enter_async_context(open_front(app, settings, identity))
        notifier.ready()
        chores: list[Chore] = [
            ("the registration with ogCore", partial(voices.registration.run, registered)),
            ("the line in systemctl status", partial(_tell_status, jobs, seeding, notifier)),
            ("the answer to SIGHUP", partial(renew_client_ca, hangup, acceptor, settings, identity)),
            ("the answer to SIGUSR1", partial(_retire, retire, jobs, stop)),
        ]
        if people is not None:  # first: before anybody knows this agent, it knows who is there
            chores.insert(0, ("the watch over sessions", people.run))
        if seeding is not None:
            chores.append(("what others can have", seeding.run))
        if (late := late_news(settings, house, journal)) is not None:
            chores.append(("what the CACHE tells of earlier jobs", partial(jobs.take_up, late)))
        if voices.line is not None:
            chores.append(("what ogCore is told of sessions", voices.line.run))
        async with beside("the watchdog's heartbeat", notifier.keep_alive):
            async with AsyncExitStack() as under_way:
                for what, work in chores:
                    await under_way.enter_async_context(beside(what, work))
                await stop.wait()
            _log.info("stopping")
            notifier.stopping()
            await jobs.aclose()
            await voices.reporter.aclose(_REPORT_GRACE_S)
            await house.aclose()
            await say_goodbye(voices)
    return retire.is_set()


async def _retire(asked: asyncio.Event, jobs: JobManager, stop: asyncio.Event) -> None:
    await asked.wait()
    _log.info("another agent is to be started: no new job from now on, and an end after the last")
    await jobs.drained()
    stop.set()
    await asyncio.Event().wait()  # until cancelled, as every chore


async def _house(settings: Settings, host: Host | InstalledHost, journal: Journal) -> House:
    if isinstance(host, InstalledHost):
        _log.info("this is an installed system: no disk is touched")
        return await installed_house(settings, host, journal)
    return await oglive_house(settings, host, journal, await asyncio.to_thread(source_policy, settings))


def _doubt_the_clock() -> None:
    if reason := clock.doubt(datetime.now(UTC), clock.built(Path(__file__).parent)):
        _log.warning("%s", reason)


async def _tell_status(jobs: JobManager, seeding: Seeding | None, notifier: Notifier) -> None:
    told = ""
    while True:
        idle = "waiting for calls"
        if seeding is not None and seeding.images:
            idle += f"; others can have {', '.join(seeding.images)}"
        text = "; ".join(_status_of(job, title) for job, title in jobs.running) or idle
        if text != told:
            notifier.status(text)
            told = text
        await asyncio.sleep(_STATUS_EVERY_S)


def _status_of(job: Job, title: str) -> str:
    return f"{job.job_id}, {title}: {job.phase or 'ready'} {job.progress} %"
