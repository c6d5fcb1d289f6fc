"""Every call of the agent, with all that it may be refused with. What is not in here does not exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from ogagent import errors
from ogagent.errors import AgentError, InternalError
from ogagent.functions.function import Function, Refusals
from ogagent.functions.inventories import InventarioSoftware
from ogagent.functions.power import Apagar, Reiniciar
from ogagent.functions.table import FUNCTIONS
from ogagent.http import handlers, looks, people
from ogagent.http.answers import (
    Accepted,
    Capabilities,
    Configuration,
    Ended,
    Health,
    JobList,
    Launched,
    Reached,
    Status,
)
from ogagent.http.events import follow_job
from ogagent.http.metrics import show_metrics
from ogagent.model.disk import Inventory
from ogagent.model.hardware import Hardware
from ogagent.model.job import Job
from ogagent.model.software import Software
from ogagent.model.text import LONGEST, SEEN

EVENT_STREAM: Final = "text/event-stream"


class Call(Struct, frozen=True, kw_only=True):
    """``answer`` is what 200 holds: a type for JSON, or several, otherwise a media type. ``body`` is the JSON schema of
    the body.

    ``refusals`` are those of the call itself, beside what every call may be refused with. ``name`` tells it from the
    others; empty: it has its handler's.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Any
    body: Mapping[str, Any] | None = None
    refusals: Refusals = ()
    name: str = ""
    query: tuple[str, ...] = ()
    """Numbers that have to be in the query of its URL."""
    open: bool = False
    """Needs no credential."""
    oglive: bool = False
    """Only in an ogLive: it is, or may be, about disks."""

    def route(self) -> web.RouteDef:
        if self.method == "GET":  # nobody asks for the headers alone of something without end
            return web.get(self.path, self._answer, allow_head=self.answer != EVENT_STREAM)
        return web.route(self.method, self.path, self._answer)

    @property
    def all_refusals(self) -> Refusals:
        return (*self.refusals, errors.NotInOgLive) if self.oglive else self.refusals

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.oglive and request.app[handlers.PEOPLE] is not None:
            raise errors.NotInOgLive(
                f"{self.path} is for an ogLive: here the system of this PC's own disk is running", hint=_RESTART
            )
        try:
            return await self.handler(request)
        except AgentError as error:
            if type(error) in self.refusals or not isinstance(error, errors.Refusal | errors.RestoreError):
                raise
            raise InternalError(f"{self.method} {self.path} does not say that it may answer {error.code}") from error


_RESTART: Final = "restart the PC by the network, or set machine.kind when this is an ogLive"
FROM_ANYONE: Final[Refusals] = (errors.MalformedHttp, errors.TooManyConnections)
WITHOUT_CREDENTIAL: Final[Refusals] = (
    *(errors.CredentialMissing, errors.CredentialWrong),
    *(errors.CallerNotAllowed, errors.TooManyRequests),
)
OFF_THE_MAP: Final[Refusals] = (errors.UnknownPath, errors.MethodNotAllowed)
"""Of what is no call at all."""

_BODY: Final[Refusals] = (
    *(errors.MalformedJson, errors.NotJson, errors.BodyTooLarge),
    *(errors.MissingField, errors.InvalidField),
)
_CANCEL: Final[Refusals] = (errors.JobNotFound, errors.JobFinished)

_JOB_ID: Final = {
    "type": "object",
    "required": ["job_id"],
    "properties": {"job_id": {"type": "string", "maxLength": LONGEST, "pattern": f"^{SEEN}+$"}},
}


def _starting(function: type[Function]) -> Call:
    return Call(
        method="POST",
        path=f"/CloningEngine/{function.kind.name}",
        handler=handlers.starting(function),
        name=function.kind.name,
        summary=function.summary,
        body=function.schema,
        answer=Accepted,
        refusals=(*_BODY, *function.refusals),
        oglive=True,
    )


def _launching(path: str, function: type[Function]) -> Call:
    return Call(
        method="POST",
        path=path,
        handler=handlers.launching(function),
        name=path.rpartition("/")[2],
        summary=f"{function.summary}, as ogAgent is asked to",
        answer=Launched,
        refusals=function.refusals,
    )


def _any_of(refusals: Iterable[Refusals]) -> Refusals:
    return tuple(dict.fromkeys(chain.from_iterable(refusals)))


CALLS: Final = (
    *map(_starting, FUNCTIONS),
    Call(
        method="POST",
        path="/CloningEngine/KillJob",
        handler=handlers.kill_job,
        summary="Cancel a job; the answer comes when nothing of it is left",
        body=_JOB_ID,
        answer=Ended,
        refusals=(*_BODY, *_CANCEL),
        oglive=True,
    ),
    Call(
        method="POST",
        path="/plan",
        handler=handlers.show_plan,
        summary="What the function that nfn names would do with this body, or why not; nothing is changed",
        body={"anyOf": [function.schema for function in FUNCTIONS]},
        answer=tuple({function.preview: None for function in FUNCTIONS}),
        refusals=(*_BODY, *_any_of(function.refusals + function.foreseen for function in FUNCTIONS)),
        oglive=True,
    ),
    Call(method="GET", path="/jobs", handler=handlers.show_jobs, summary="All jobs, newest first", answer=JobList),
    Call(
        method="GET",
        path="/jobs/{job_id}",
        handler=handlers.show_job,
        summary="One job",
        answer=Job,
        refusals=(errors.JobNotFound,),
    ),
    Call(
        method="DELETE",
        path="/jobs/{job_id}",
        handler=handlers.delete_job,
        summary="Cancel a job, as KillJob does",
        answer=Ended,
        refusals=_CANCEL,
    ),
    Call(
        method="GET",
        path="/jobs/{job_id}/events",
        handler=follow_job,
        summary="One job as Server-Sent Events: a data line with the job as JSON at each change, the final one last",
        answer=EVENT_STREAM,
        refusals=(errors.JobNotFound, errors.TooManyRequests),
    ),
    Call(
        method="GET",
        path="/metrics",
        handler=show_metrics,
        summary="Counters for Prometheus",
        answer="text/plain",
    ),
    Call(
        method="GET",
        path="/disks",
        handler=handlers.show_disks,
        summary="The disks and partitions of this machine",
        answer=Inventory,
    ),
    Call(
        method="GET",
        path="/openapi.json",
        handler=handlers.show_interface,
        summary="This description",
        answer=dict[str, Any],
    ),
    Call(
        method="GET",
        path="/opengnsys/config",
        handler=looks.show_configuration,
        summary="The disks and partitions in OpenGnsys' own words",
        answer=Configuration,
    ),
    Call(
        method="GET",
        path="/opengnsys/hardware",
        handler=looks.show_hardware,
        summary="What the machine is made of",
        answer=Hardware,
        refusals=(errors.Stopping,),
    ),
    Call(
        method="GET",
        path="/opengnsys/software",
        handler=looks.show_software,
        summary="What is installed on a partition",
        answer=Software,
        query=("disk", "part"),
        refusals=(errors.MissingField, errors.InvalidField, errors.NotInOgLive, *InventarioSoftware.refusals),
    ),
    Call(
        method="GET",
        path="/opengnsys/status",
        handler=handlers.show_status,
        summary="What runs here: an ogLive, busy or not, or an installed system; and whether anybody is logged in",
        answer=Status,
        open=True,
    ),
    _launching("/opengnsys/reboot", Reiniciar),
    _launching("/opengnsys/poweroff", Apagar),
    Call(
        method="POST",
        path="/opengnsys/logoff",
        handler=people.log_off,
        summary="End the sessions of all who are logged in; in an ogLive nobody is",
        answer=Reached,
        refusals=(errors.SessionsUnknown,),
    ),
    Call(
        method="POST",
        path="/opengnsys/popup",
        handler=people.pop_up,
        summary="Show a message on the desktop of everybody who is logged in; in an ogLive nobody is",
        body=people.POPUP,
        answer=Reached,
        refusals=_BODY,
    ),
    Call(
        method="POST",
        path="/opengnsys/script",
        handler=people.run_script,
        summary="Run a script as root, or as who is logged in: a job of EjecutarScript",
        body=people.SCRIPT,
        answer=Launched,
        refusals=(*_BODY, *people.OF_SCRIPTS),
    ),
    Call(
        method="GET",
        path="/capabilities",
        handler=looks.show_capabilities,
        summary="What the agent depends on, and what to do about what is wrong with it, as ogagent check has it",
        answer=Capabilities,
    ),
    Call(
        method="GET",
        path="/healthz",
        handler=handlers.show_health,
        summary="Whether the agent answers",
        answer=Health,
        open=True,
    ),
)
OPEN_PATHS: Final = frozenset(call.path for call in CALLS if call.open)
