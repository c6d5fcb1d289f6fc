"""What ogAgent is asked for because of people: their sessions, a word to them, a script for them.

In an ogLive nobody logs in: there is no session to be ended and nobody to be told, which is no failure.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from ogagent import errors
from ogagent.errors import NobodyLoggedIn
from ogagent.functions.function import Refusals
from ogagent.functions.script import EjecutarScript
from ogagent.http.answers import Launched, Reached
from ogagent.http.body import json_object
from ogagent.http.handlers import FUNCTIONS, JOBS, PEOPLE, json_answer
from ogagent.model.members import Rule, checked, schema, text
from ogagent.system.account import Account
from ogagent.system.script import LONGEST

_POPUP_RULES: Final = {
    "title": text("the first line; absent: OpenGnsys"),
    "message": Rule(
        what="what is shown, as text",
        expected="a text",
        fits=lambda value: "\0" not in value,
        forms=({"type": "string", "minLength": 1, "maxLength": LONGEST},),
        required=True,
        longest=LONGEST,
        lines=True,
    ),
}
_TITLE: Final = "OpenGnsys"
_SCRIPT_RULES: Final = {
    "script": Rule(
        what="the script in base64; as EjecutarScript takes it when it is decoded",
        expected="a script in base64",
        fits=lambda value: _decoded(value) is not None,
        forms=({"type": "string", "minLength": 1, "maxLength": 2 * LONGEST},),
        required=True,
        longest=2 * LONGEST,
        lines=True,
    ),
    "client": Rule(
        what="true: it runs as who is logged in; otherwise as root",
        expected="true or false",
        fits=lambda value: value in ("", "true", "false"),
        forms=({"type": "boolean"}, {"enum": ["true", "false"]}),
    ),
}
POPUP: Final = schema(_POPUP_RULES)
SCRIPT: Final = schema(_SCRIPT_RULES)
OF_SCRIPTS: Final[Refusals] = (*EjecutarScript.refusals, errors.NobodyLoggedIn)


async def log_off(request: web.Request) -> web.Response:
    people = request.app[PEOPLE]
    return json_answer(Reached(sessions=await people.log_off() if people else 0))


async def pop_up(request: web.Request) -> web.Response:
    members = checked(_POPUP_RULES, await json_object(request))
    people = request.app[PEOPLE]
    shown = await people.show(members["title"] or _TITLE, members["message"]) if people else 0
    return json_answer(Reached(sessions=shown))


async def run_script(request: web.Request) -> web.Response:
    members = checked(_SCRIPT_RULES, _with_words(await json_object(request)))
    scripts = request.app[FUNCTIONS][EjecutarScript.kind.name]
    if not isinstance(scripts, EjecutarScript):
        raise TypeError("no function runs scripts")
    account = await _account(request) if members["client"] == "true" else None
    order = scripts.order({"scp": _decoded(members["script"])}, account)
    await request.app[JOBS].start(order)
    return json_answer(Launched())


async def _account(request: web.Request) -> Account:
    people = request.app[PEOPLE]
    if people is None:
        raise NobodyLoggedIn("nobody logs in to an ogLive", hint="without client it runs as root")
    return await people.at_the_desk()


def _with_words(members: Mapping[str, Any]) -> dict[str, Any]:
    """ogAgent takes ``client`` as a word, and consoles send JSON's own."""
    client = members.get("client")
    return {**members, "client": str(client).lower() if isinstance(client, bool) else client}


def _decoded(script: str) -> str | None:
    """None for what is no base64, or no text."""
    try:
        return b64decode("".join(script.split()), validate=True).decode() or None
    except (binascii.Error, ValueError):
        return None
