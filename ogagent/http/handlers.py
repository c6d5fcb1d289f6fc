"""The calls: each asks the jobs and puts the answer into JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from ogagent.http.answers import Accepted, Ended, Health, JobList, Status
from ogagent.http.body import json_object, text_member
from ogagent.http.telling import Heard, Telling
from ogagent.model.disk import Inventory
from ogagent.model.job import Job
from ogagent.model.plan import Preview, RestorePlan
from ogagent.model.request import RestoreRequest, restore_request


class Jobs(Protocol):
    """What the calls need of the job manager."""

    @property
    def busy(self) -> bool: ...

    async def plan(self, request: RestoreRequest) -> RestorePlan:
        """What ``start`` would do. Raises Refusal."""

    async def start(self, request: RestoreRequest) -> Job:
        """Raises Refusal."""

    def jobs(self) -> list[Job]:
        """Newest first."""

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        """The job as soon as it is another than ``seen``. Raises JobNotFound."""

    async def cancel(self, job_id: str) -> Job:
        """Returns when nothing of the job is left. Raises JobNotFound or JobFinished."""

    async def inventory(self) -> Inventory: ...

    async def telling(self, inventory: Inventory) -> Heard:
        """From now on ogCore may have heard which disk has which number; what this returns is called when it has."""


class Previews(Protocol):
    async def preview(self, plan: RestorePlan) -> Preview:
        """Reads the image's header, in bounded time. Raises DiskChanged, SourceError or ImageError."""


INTERFACE: Final[web.AppKey[Mapping[str, Any]]] = web.AppKey("interface")
"""The OpenAPI document."""
JOBS: Final[web.AppKey[Jobs]] = web.AppKey("jobs")
PREVIEWS: Final[web.AppKey[Previews]] = web.AppKey("previews")


async def restore_image(request: web.Request) -> web.Response:
    job = await request.app[JOBS].start(restore_request(await json_object(request)))
    return _json(Accepted(job.job_id))


async def show_plan(request: web.Request) -> web.Response:
    plan = await request.app[JOBS].plan(restore_request(await json_object(request)))
    return _json(await request.app[PREVIEWS].preview(plan))


async def kill_job(request: web.Request) -> web.Response:
    job_id = text_member(await json_object(request), "job_id")
    job = await request.app[JOBS].cancel(job_id)
    return _json(Ended(job.job_id, job.state))


async def delete_job(request: web.Request) -> web.Response:
    job = await request.app[JOBS].cancel(request.match_info["job_id"])
    return _json(Ended(job.job_id, job.state))


async def show_jobs(request: web.Request) -> web.Response:
    return _json(JobList(request.app[JOBS].jobs()))


async def show_job(request: web.Request) -> web.Response:
    return _json(request.app[JOBS].job(request.match_info["job_id"]))


async def show_disks(request: web.Request) -> web.Response:
    jobs = request.app[JOBS]
    inventory = await jobs.inventory()
    if request.method == "HEAD":  # which is told nothing
        return _json(inventory)
    return Telling(_text(inventory), await jobs.telling(inventory))


async def show_status(request: web.Request) -> web.Response:
    return _json(Status("busy" if request.app[JOBS].busy else "oglive", loggedin=False))


async def show_health(_request: web.Request) -> web.Response:
    return _json(Health(ok=True))


async def show_interface(request: web.Request) -> web.Response:
    return _json(request.app[INTERFACE])


def _json(value: Any) -> web.Response:
    return web.json_response(text=_text(value))


def _text(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value))
