"""The description of all calls, OpenAPI 3.1, made from the table of calls and the types that they answer with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from ogagent import __version__
from ogagent.errors import AgentError
from ogagent.http.answers import Problem
from ogagent.http.calls import FROM_ANYONE, OFF_THE_MAP, WITHOUT_CREDENTIAL, Call
from ogagent.http.problems import PROBLEM

_ABOUT: Final = """The agent of OpenGnsys for ogLive.

A path that is none is answered with 404 `unknown-path`, a method that a path does not take with 405
`method-not-allowed`, and both only to callers with a credential. Bytes that are not HTTP/1.1 are answered with 400
`malformed-http` and the end of the connection. A connection that shows no request for 15 seconds is closed."""

_SCHEMES: Final = {
    "secret": {
        "type": "apiKey", "in": "header", "name": "Authorization",
        "description": "access.mode secret: the secret, bare, as OpenGnsys sends it",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "access.mode secret: the same with Bearer before it"},
    "certificate": {"type": "mutualTLS", "description": "access.mode certificate"},
}  # fmt: skip
_PATH_PARAMETERS: Final = {
    "job_id": {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}},
}
_HEADERS: Final = {
    429: {"Retry-After": {"description": "seconds", "schema": {"type": "string"}}},
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
}


def openapi_document(calls: Sequence[Call]) -> dict[str, Any]:
    answers = {answer for call in calls for answer in _types(call)}
    types = [Problem, *sorted(answers, key=str)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(str, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ogagent", "version": __version__, "description": _ABOUT},
        "security": [{name: []} for name in _SCHEMES],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": _SCHEMES,
            "responses": {kind.__name__: _refused(kind.status, [kind.code]) for kind in OFF_THE_MAP},
        },
    }


def _types(call: Call) -> tuple[Any, ...]:
    """Of its answer in JSON."""
    if isinstance(call.answer, str):
        return ()
    return call.answer if isinstance(call.answer, tuple) else (call.answer,)


def _operation(call: Call, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(call.answer, str):
        content: dict[str, Any] = {call.answer: {}}  # OpenAPI 3.1 has no schema for the events of a stream
    else:
        schemas = [schema_of[str(answer)] for answer in _types(call)]
        content = {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
    operation: dict[str, Any] = {
        "operationId": call.name or call.handler.__name__,
        "summary": call.summary,
        "responses": {"200": {"description": "done", "content": content}, **_refusals(call)},
    }
    if call.open:
        operation["security"] = []
    if call.body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": call.body}}}
    parameters = [each for name, each in _PATH_PARAMETERS.items() if f"{{{name}}}" in call.path]
    if parameters := [*parameters, *map(_number, call.query)]:
        operation["parameters"] = parameters
    return operation


def _number(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 999}}


def _refusals(call: Call) -> dict[str, Any]:
    kinds: Iterable[type[AgentError]] = [*FROM_ANYONE, *(() if call.open else WITHOUT_CREDENTIAL), *call.all_refusals]
    codes: dict[int, list[str]] = {}
    for kind in kinds:
        codes.setdefault(kind.status, []).append(kind.code)
    refused = {str(status): _refused(status, codes[status]) for status in sorted(codes)}
    return refused | {"500": _refused(500, [])}


def _refused(status: int, codes: Sequence[str]) -> dict[str, Any]:
    """Without ``codes``: an error of the agent itself, whose code may be any."""
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    if codes:
        schema = {"allOf": [schema, {"properties": {"code": {"enum": sorted(set(codes))}}}]}
    phrase = HTTPStatus(status).phrase
    return {
        "description": f"{phrase}: {', '.join(codes)}" if codes else f"{phrase}: a bug, or a tool that is missing",
        "headers": _HEADERS.get(status, {}),
        "content": {PROBLEM: {"schema": schema}},
    }
