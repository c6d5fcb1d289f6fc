"""ogCore's REST interface in OpenAPI 3.1, from the types that it answers with."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from simulator import __version__
from simulator.ogcore import views
from simulator.ogcore.captures import LONGEST_DESCRIPTION, LONGEST_NAME, NAME
from simulator.ogcore.checks import CheckView
from simulator.ogcore.order import COMMANDS
from simulator.ogcore.rooms import MOST_CLIENTS

_SCHEMAS: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)}")
_REFUSALS: Final = (400, 401, 403, 404, 409, 422, 502, 503)


class Operation(Struct, frozen=True, kw_only=True):
    """``order`` names the schema of the body. ``query`` names the parameters that may be given; ``refusals`` are the
    statuses of a ``Refused``.
    """

    method: str
    path: str
    summary: str
    answer: type
    order: str = ""
    query: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()


OPERATIONS: Final = (
    Operation(method="get", path="/clients", summary="All clients of all rooms", answer=views.ClientList),
    Operation(method="get", path="/clients/{name}", summary="One client", answer=views.ClientView, refusals=(404,)),
    Operation(
        method="get",
        path="/clients/{name}/disks",
        summary="The disks of a client, as its agent sees them now or saw them last",
        answer=views.InventoryView,
        refusals=(404,),
    ),
    Operation(
        method="get",
        path="/clients/{name}/check",
        summary="What the agent of a client depends on, as it finds it now",
        answer=CheckView,
        refusals=(404, 502),
    ),
    Operation(
        method="get",
        path="/clients/{name}/hardware",
        summary="The hardware of a client, as its agent told last",
        answer=views.HardwareView,
        refusals=(404,),
    ),
    Operation(
        method="get",
        path="/clients/{name}/software",
        summary="The software on each partition of a client that was asked for, as its agent told last",
        answer=views.SoftwareList,
        refusals=(404,),
    ),
    Operation(
        method="get",
        path="/images",
        summary="Images that can be deployed; with corrupt=1 the others, too",
        answer=views.ImageList,
        query=("corrupt",),
        refusals=(502,),
    ),
    Operation(
        method="post",
        path="/images/{name}/put-back",
        summary="Put the previous version of an image in its place, and the image in that of its previous version",
        answer=views.ImageView,
        refusals=(404, 409, 502),
    ),
    Operation(
        method="get",
        path="/traces",
        summary="What became of each command, newest first",
        answer=views.TraceList,
        query=("status", "command", "client", "session"),
        refusals=(400,),
    ),
    Operation(
        method="get",
        path="/traces/{id}",
        summary="One command with every report that was received",
        answer=views.TraceDetails,
        refusals=(404,),
    ),
    Operation(method="get", path="/violations", summary="Breaches of the protocol", answer=views.ViolationList),
    Operation(method="get", path="/openapi.json", summary="This document", answer=dict),
    Operation(
        method="post",
        path="/deploy",
        summary="Deploy an image to several clients; for multicast, uftp and p2p, in one session at the repository",
        answer=views.RoomAnswer,
        order="RoomDeployment",
        refusals=(400, 404, 409, 422, 502, 503),
    ),
    Operation(
        method="post",
        path="/clients/{name}/deploy",
        summary="Deploy an image to a partition",
        answer=views.Accepted,
        order="Deployment",
        refusals=_REFUSALS,
    ),
    Operation(
        method="post",
        path="/clients/{name}/plan",
        summary="What the same order to deploy would do; nothing is written",
        answer=dict,
        order="Deployment",
        refusals=_REFUSALS,
    ),
    Operation(
        method="post",
        path="/clients/{name}/create-image",
        summary="Create an image of a partition",
        answer=views.Accepted,
        order="Capture",
        refusals=_REFUSALS,
    ),
    Operation(
        method="post",
        path="/clients/{name}/create-image/plan",
        summary="What the same order to create an image would do; nothing is written",
        answer=views.CapturePlan,
        order="Capture",
        refusals=_REFUSALS,
    ),
    Operation(
        method="post",
        path="/clients/{name}/command",
        summary="Call any function of the agent",
        answer=views.Accepted,
        order="Command",
        refusals=_REFUSALS,
    ),
    Operation(
        method="post",
        path="/clients/{name}/command/plan",
        summary="What the same call would do; nothing is written",
        answer=dict,
        order="Command",
        refusals=_REFUSALS,
    ),
    Operation(
        method="post",
        path="/clients/{name}/cancel",
        summary="Cancel what runs on a client",
        answer=views.Cancelled,
        refusals=(404, 409, 502),
    ),
    Operation(
        method="post",
        path="/traces/{id}/cancel",
        summary="Cancel one command",
        answer=views.Cancelled,
        refusals=(404, 409, 502),
    ),
    Operation(
        method="post",
        path="/traces/{id}/retry",
        summary="Give the same order once more",
        answer=views.Accepted,
        refusals=_REFUSALS,
    ),
)

_DEPLOYMENT: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "disk", "partition"],
    "properties": {
        "image": {"type": "string", "minLength": 1, "maxLength": 200},
        "disk": {"type": ["integer", "string"], "minimum": 1, "maximum": 999},
        "partition": {"type": ["integer", "string"], "minimum": 1, "maximum": 999},
        "method": {"type": "string", "maxLength": 200, "default": "unicast"},
    },
}
_ROOM_DEPLOYMENT: Final[dict[str, Any]] = {
    **_DEPLOYMENT,
    "required": ["clients", *_DEPLOYMENT["required"]],
    "properties": {
        **_DEPLOYMENT["properties"],
        "clients": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_CLIENTS},
        "session": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "port": {"type": "integer"},
                "address": {"type": "string", "maxLength": 64},
                "speed": {"type": ["integer", "string"], "maxLength": 16, "description": "in Mbit/s, 70 or 70M"},
                "clients": {"type": "integer"},
                "wait": {"type": "integer", "description": "in seconds"},
            },
        },
    },
}
_CAPTURE: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "disk", "partition"],
    "properties": {
        "image": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": NAME.replace(r"\Z", "$")},
        "disk": {"type": ["integer", "string"], "minimum": 1, "maximum": 999},
        "partition": {"type": ["integer", "string"], "minimum": 1, "maximum": 999},
        "description": {"type": "string", "maxLength": LONGEST_DESCRIPTION, "default": ""},
    },
}
_COMMAND: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["function"],
    "properties": {
        "function": {"enum": list(COMMANDS)},
        "members": {"type": "object", "description": "as the agent wants them; ogCore adds nfn and ids"},
    },
}
_ORDERS: Final = {
    "Deployment": _DEPLOYMENT,
    "RoomDeployment": _ROOM_DEPLOYMENT,
    "Capture": _CAPTURE,
    "Command": _COMMAND,
}


def document() -> dict[str, Any]:
    answers = [operation.answer for operation in OPERATIONS if operation.answer is not dict]
    _, components = msgspec.json.schema_components([*answers, views.Refused], ref_template=_SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ogCore of ogsim", "version": __version__},
        "paths": paths,
        "components": {"schemas": {**components, **_ORDERS}},
    }


def _described(operation: Operation) -> dict[str, Any]:
    in_path = [_parameter(name, "path", required=True) for name in _PARAMETER.findall(operation.path)]
    in_query = [_parameter(name, "query", required=False) for name in operation.query]
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": in_path + in_query,
        "responses": {
            "200": _content("Done", _schema(operation.answer)),
            **{str(status): _content("Refused", _schema(views.Refused)) for status in operation.refusals},
        },
    }
    if operation.order:
        order = {"schema": {"$ref": _SCHEMAS.format(name=operation.order)}}
        described["requestBody"] = {"required": True, "content": {"application/json": order}}
    return described


def _parameter(name: str, where: str, *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": {"type": "string"}}


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schema(answer: type) -> dict[str, Any]:
    return {"type": "object"} if answer is dict else {"$ref": _SCHEMAS.format(name=answer.__name__)}
