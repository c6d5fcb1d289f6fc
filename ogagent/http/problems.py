"""What a caller is told when a call goes wrong: ``application/problem+json``, RFC 9457."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from ogagent import errors
from ogagent.errors import AgentError
from ogagent.http.access import WINDOW_S
from ogagent.http.answers import Problem
from ogagent.http.metrics import CODE

PROBLEM: Final = "application/problem+json"

_log: Final = logging.getLogger(__name__)

_LAST_WORDS: Final = (errors.AccessDenied, errors.MalformedHttp, errors.TooManyConnections)
"""After these the connection is closed: who goes on has to knock again, and that has its pace."""

_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": 'Bearer realm="ogagent"'},
    429: {"Retry-After": str(WINDOW_S)},
}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: every error becomes an answer here."""
    try:
        return await handler(request)
    except AgentError as error:
        return answer(request, error)
    except web.HTTPNotFound:
        return answer(request, errors.UnknownPath(f"there is no {request.path}"))
    except web.HTTPMethodNotAllowed as error:
        refusal = errors.MethodNotAllowed(f"{request.path} does not take {request.method}")
        return answer(request, refusal, {"Allow": error.headers["Allow"]})
    except web.HTTPRequestEntityTooLarge:
        return answer(request, errors.BodyTooLarge(f"the body is larger than {request.client_max_size} bytes"))
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the last net: a bug is answered, and logged in full
        return _bug(request, error)


def answer(request: web.BaseRequest, error: AgentError, headers: Mapping[str, str] | None = None) -> web.Response:
    status = error.status
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _bug(request, error)
    if not isinstance(error, errors.AccessDenied):  # of which the guard tells
        _log.info("%s %s from %s refused: %s", request.method, request.path, request.remote, error.message)
    response = _problem(error, status, {**_HEADERS.get(status, {}), **(headers or {})})
    if isinstance(error, _LAST_WORDS):
        response.force_close()
    return response


def _bug(request: web.BaseRequest, error: Exception) -> web.Response:
    """An AgentError that is no refusal has a message for people; of anything else only the log may tell more."""
    incident = uuid.uuid4().urn
    _log.error("%s %s failed, %s", request.method, request.path, incident, exc_info=error)
    told = error if isinstance(error, AgentError) else errors.InternalError("internal error")
    hint = told.hint or f"the agent's log has the details under {incident}"
    return _problem(told, 500, {}, hint, incident)


def _problem(
    error: AgentError, status: int, headers: Mapping[str, str], hint: str = "", instance: str = ""
) -> web.Response:
    refusal = error if isinstance(error, errors.Refusal) else errors.Refusal("")
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        error=error.message,
        code=error.code,
        number=error.number,
        hint=hint or error.hint,
        field=refusal.field,
        job_id=refusal.job_id,
        instance=instance,
    )
    body = msgspec.json.encode(problem)
    response = web.Response(status=status, headers=headers, body=body, content_type=PROBLEM)
    response[CODE] = error.code
    return response
