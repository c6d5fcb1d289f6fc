"""The agent's face: which call goes where, and what stands in front of all of them."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ogagent.check.finding import Finding
from ogagent.functions.table import Functions
from ogagent.http.access import Access, CertificateAccess, guard
from ogagent.http.body import MAX_BODY
from ogagent.http.calls import CALLS, OPEN_PATHS
from ogagent.http.events import EVENTS, JobEvents
from ogagent.http.handlers import FUNCTIONS, INTERFACE, JOBS, LOOK, LOOKING, PEOPLE, Jobs, Look, People
from ogagent.http.listener import one_call_each, room
from ogagent.http.metrics import METRICS, count_refusals
from ogagent.http.openapi import openapi_document
from ogagent.http.problems import problems
from ogagent.system.metrics import Metrics


async def nothing_to_look_at() -> list[Finding]:
    return []


def make_app(
    jobs: Jobs,
    functions: Functions,
    access: Access,
    metrics: Metrics,
    people: People | None = None,
    look: Look = nothing_to_look_at,
) -> web.Application:
    """``people`` are those of an installed system; None: this is an ogLive."""
    # In a certificate's name speaks only a connection whose handshake has shown it to the CA of today.
    first = [one_call_each] if isinstance(access, CertificateAccess) else []
    before = [*first, count_refusals, problems, room, guard(access, OPEN_PATHS)]
    app = web.Application(middlewares=before, client_max_size=MAX_BODY)
    app[JOBS] = jobs
    app[FUNCTIONS] = functions
    app[PEOPLE] = people
    app[LOOK] = look
    app[LOOKING] = asyncio.Lock()
    app[INTERFACE] = openapi_document(CALLS)
    app[METRICS] = metrics
    app[EVENTS] = JobEvents()
    app.add_routes([call.route() for call in CALLS])
    return app
