"""The calls: each asks the jobs and puts the answer into JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from ogagent.check.finding import Finding
from ogagent.functions.function import Function
from ogagent.functions.table import Functions
from ogagent.http.answers import Accepted, Ended, Health, JobList, Launched, Status
from ogagent.http.body import json_object, text_member
from ogagent.http.telling import Heard, Telling
from ogagent.jobs.work import Order, Work
from ogagent.model.disk import Inventory
from ogagent.model.job import Job
from ogagent.system.account import Account


class People(Protocol):
    """Who is logged in on an installed system."""

    @property
    def logged_in(self) -> bool: ...

    async def log_off(self) -> int:
        """Ends all sessions, and says how many. Raises SessionsUnknown."""

    async def show(self, title: str, message: str) -> int:
        """On every desktop; says on how many."""

    async def at_the_desk(self) -> Account:
        """Raises NobodyLoggedIn."""


class Jobs(Protocol):
    """What the calls need of the job manager."""

    @property
    def busy(self) -> bool: ...

    async def plan(self, order: Order) -> Work:
        """What ``start`` would do. Raises Refusal."""

    async def start(self, order: Order) -> Job:
        """Raises Refusal."""

    def jobs(self) -> list[Job]:
        """Newest first."""

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        """The job as soon as it is another than ``seen``. Raises JobNotFound."""

    async def cancel(self, job_id: str) -> Job:
        """Returns when nothing of the job is left. Raises JobNotFound or JobFinished."""

    def holding(self, order: Order) -> AbstractAsyncContextManager[Work]:
        """What ``start`` would do, for whoever does it himself: what it needs is his as long as the block lasts.

        Raises Refusal.
        """

    async def inventory(self) -> Inventory: ...

    async def telling(self, inventory: Inventory) -> Heard:
        """From now on ogCore may have heard which disk has which number; what this returns is called when it has."""


Look = Callable[[], Awaitable[list[Finding]]]
"""At what the agent depends on."""

LOOK: Final[web.AppKey[Look]] = web.AppKey("look")
LOOKING: Final[web.AppKey[asyncio.Lock]] = web.AppKey("looking")
"""One at a time: it starts a program, and calls ogCore."""
INTERFACE: Final[web.AppKey[Mapping[str, Any]]] = web.AppKey("interface")
"""The OpenAPI document."""
JOBS: Final[web.AppKey[Jobs]] = web.AppKey("jobs")
FUNCTIONS: Final[web.AppKey[Functions]] = web.AppKey("functions")
PEOPLE: Final[web.AppKey[People | None]] = web.AppKey("people")
"""None in an ogLive, where nobody logs in."""


def starting(function: type[Function]) -> Handler:
    """A job of it."""
    name = function.kind.name

    async def start(request: web.Request) -> web.Response:
        order = request.app[FUNCTIONS][name].order(await json_object(request))
        job = await request.app[JOBS].start(order)
        return json_answer(Accepted(job.job_id))

    return start


def launching(function: type[Function]) -> Handler:
    """A job of it, as ogAgent is asked for one: by the path alone, whatever the body is."""
    name = function.kind.name

    async def launch(request: web.Request) -> web.Response:
        await request.app[JOBS].start(request.app[FUNCTIONS][name].order({}))
        return json_answer(Launched())

    return launch


async def show_plan(request: web.Request) -> web.Response:
    order = request.app[FUNCTIONS].order(await json_object(request))
    work = await request.app[JOBS].plan(order)
    return json_answer(await work.preview())


async def kill_job(request: web.Request) -> web.Response:
    job_id = text_member(await json_object(request), "job_id")
    job = await request.app[JOBS].cancel(job_id)
    return json_answer(Ended(job.job_id, job.state))


async def delete_job(request: web.Request) -> web.Response:
    job = await request.app[JOBS].cancel(request.match_info["job_id"])
    return json_answer(Ended(job.job_id, job.state))


async def show_jobs(request: web.Request) -> web.Response:
    return json_answer(JobList(request.app[JOBS].jobs()))


async def show_job(request: web.Request) -> web.Response:
    return json_answer(request.app[JOBS].job(request.match_info["job_id"]))


async def show_disks(request: web.Request) -> web.Response:
    jobs = request.app[JOBS]
    inventory = await jobs.inventory()
    if request.method == "HEAD":  # which is told nothing
        return json_answer(inventory)
    return Telling(_text(inventory), await jobs.telling(inventory))


async def show_status(request: web.Request) -> web.Response:
    people = request.app[PEOPLE]
    if people is not None:
        return json_answer(Status("linux", loggedin=people.logged_in))
    return json_answer(Status("busy" if request.app[JOBS].busy else "oglive", loggedin=False))


async def show_health(_request: web.Request) -> web.Response:
    return json_answer(Health(ok=True))


async def show_interface(request: web.Request) -> web.Response:
    return json_answer(request.app[INTERFACE])


def json_answer(value: Any) -> web.Response:
    return web.json_response(text=_text(value))


def _text(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value))
