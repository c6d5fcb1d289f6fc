"""What the agent says of itself: complete, and true."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from ogagent import errors
from ogagent.errors import AgentError
from ogagent.http.answers import Health
from ogagent.http.calls import CALLS, Call
from ogagent.http.openapi import openapi_document
from ogagent.http.problems import problems

DOCUMENT = openapi_document(CALLS)


def family(kind: type[AgentError]) -> list[type[AgentError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in family(child))]


KINDS = [kind for kind in family(AgentError) if kind.status != 500]


def responses() -> list[tuple[str, dict[str, Any]]]:
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    return [pair for operation in operations for pair in operation["responses"].items()]


def test_it_is_json_and_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(DOCUMENT["components"]["schemas"])


def test_every_refusal_appears_with_its_status() -> None:
    off_the_map = list(DOCUMENT["components"]["responses"].items())
    told = json.dumps([responses(), off_the_map])
    missing = [kind.code for kind in KINDS if not kind.__subclasses__() and f'"{kind.code}"' not in told]
    assert missing == []
    for status, answer in responses():
        for kind in KINDS:
            schema = answer["content"].get("application/problem+json", {}).get("schema", {})
            codes = schema.get("allOf", [{}, {"properties": {"code": {"enum": []}}}])[1]["properties"]["code"]["enum"]
            if kind.code in codes and not kind.__subclasses__():
                assert status == str(kind.status)


def test_only_the_open_calls_need_no_credential() -> None:
    free = [
        path for path, calls in DOCUMENT["paths"].items() if any(each.get("security") == [] for each in calls.values())
    ]
    assert sorted(free) == ["/healthz", "/opengnsys/status"]


async def test_a_refusal_that_a_call_does_not_name_is_a_bug(aiohttp_client: AiohttpClient) -> None:
    async def unruly(request: web.Request) -> web.Response:
        raise errors.DiskBusy("disk 1 is held")

    call = Call(method="GET", path="/", handler=unruly, summary="", answer=Health)
    app = web.Application(middlewares=[problems])
    app.add_routes([call.route()])
    client = await aiohttp_client(app)
    async with client.get("/") as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (500, "internal")
