"""Those who speak to ogCore, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from ogagent.ogcore.address import LocalAddress, local_address
from ogagent.ogcore.finals import FinalStore
from ogagent.ogcore.line import Line, Notices
from ogagent.ogcore.outbox import NoOutbox, Outbox, Reporter
from ogagent.ogcore.registration import NoRegistration, Registration, spread_s
from ogagent.ogcore.webhook import Webhook, open_session
from ogagent.settings import Settings
from ogagent.system.tls import client_context

_log: Final = logging.getLogger(__name__)


class Myself(Struct, frozen=True, kw_only=True):
    """What ogCore is told of this agent. ``fingerprint`` is that of its certificate."""

    secret: str
    fingerprint: str
    ostype: str
    osversion: str


class Voices(Struct, frozen=True, kw_only=True):
    """``line`` is None when there is no ogCore, or nothing that waits in line."""

    reporter: Reporter
    registration: Registration | NoRegistration
    line: Line | None = None


@asynccontextmanager
async def speaking(
    settings: Settings, myself: Myself, finals: FinalStore, registered: asyncio.Event, notices: Notices | None = None
) -> AsyncIterator[Voices]:
    """Mute ones when there is no ogCore. ``registered`` is set once it has answered. Raises SettingsError."""
    ogcore = settings.ogcore
    if not ogcore.url:
        if settings.access.mode == "secret" and not settings.access.secret_file:
            _log.warning(
                "no ogcore.url and no access.secret_file: nobody learns this agent's secret, so nobody can call it"
            )
        yield Voices(reporter=NoOutbox(), registration=NoRegistration())
        return
    address = settings.server.address
    source = "" if ip_address(address).is_unspecified else address
    where: Callable[[], Awaitable[LocalAddress]] = partial(asyncio.to_thread, local_address, ogcore.url, address)
    tls = await asyncio.to_thread(client_context, ogcore.ca, "ogcore.ca")
    async with open_session(tls, source) as session:

        def webhook_at(path: str) -> Webhook:
            return Webhook(session, ogcore.call(path), myself.secret)

        registration: Registration | NoRegistration = NoRegistration()
        if ogcore.register:
            spread = spread_s(time.clock_gettime(time.CLOCK_BOOTTIME))
            registration = Registration(
                webhook_at(ogcore.started_path),
                webhook_at(ogcore.stopped_path),
                where,
                myself.secret,
                myself.fingerprint,
                spread_s=spread,
                ostype=myself.ostype,
                osversion=myself.osversion,
            )
        outbox = Outbox(webhook_at(ogcore.webhook_path), where, finals, registered, forgotten=registration.renew)
        line = None
        if notices is not None:
            paths = {"loggedin": webhook_at(ogcore.loggedin_path), "loggedout": webhook_at(ogcore.loggedout_path)}
            line = Line(paths, where, notices, registered, forgotten=registration.renew)
        yield Voices(reporter=outbox, registration=registration, line=line)
