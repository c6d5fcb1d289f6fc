"""What the handlers of the REST interface have in common: how they answer, and how they look things up."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from simulator.ogcore.agents import Answer
from simulator.ogcore.clients import Client, Clients
from simulator.ogcore.traces import Trace, Traces

CONFLICT: Final = 409
UNPROCESSABLE: Final = 422
BAD_GATEWAY: Final = 502


def as_json(value: Any, *, status: int = 200) -> web.Response:
    return web.json_response(body=msgspec.json.encode(value), status=status)


def error(status: int, text: str, **more: str) -> web.Response:
    return as_json({"error": text, **more}, status=status)


def words(answer: Answer) -> str:
    """The agent's own."""
    text = answer.members.get("error") or answer.members.get("detail")
    return text if isinstance(text, str) else f"the agent answered {answer.status}"


def hint(answer: Answer) -> str:
    """What the agent says is to be done about it."""
    text = answer.members.get("hint")
    return text if isinstance(text, str) else ""


def refused(answer: Answer, **more: str) -> web.Response:
    """With the agent's own status, unless the agent has not said anything that makes sense."""
    sensible = answer.status >= 400 and answer.members
    return as_json(
        {**answer.members, "error": words(answer), **more}, status=answer.status if sensible else BAD_GATEWAY
    )


def client_of(request: web.Request, clients: Clients) -> Client:
    client = clients.named(request.match_info["name"])
    if client is None:
        raise web.HTTPNotFound(text="there is no such client")
    return client


def trace_of(request: web.Request, traces: Traces) -> Trace:
    trace = traces.numbered(request.match_info["id"])
    if trace is None:
        raise web.HTTPNotFound(text="there is no such trace")
    return trace
