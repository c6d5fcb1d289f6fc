"""The body of a call: one JSON object of a bounded size, or a refusal."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from aiohttp import web

from ogagent.errors import InvalidField, MalformedJson, MissingField, NotJson
from ogagent.model.text import LONGEST, is_printable

MAX_BODY: Final = 64 * 1024
MAX_DEPTH: Final = 32
_TIMEOUT_S: Final = 10.0
# Types that promise something else than JSON. Any other may hold it, as curl --data sends it under the type of a form.
_OTHER_TYPES: Final = re.compile(r"(multipart|message|image|audio|video)/.*|.*[/+](xml|html|x?-?yaml|csv|cbor|msgpack)")


async def json_object(request: web.Request, timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
    """Raises NotJson or MalformedJson; aiohttp raises HTTPRequestEntityTooLarge beyond the application's limit."""
    if _OTHER_TYPES.fullmatch(request.content_type):
        raise NotJson(f"the body is {request.content_type}, not JSON", hint="send Content-Type: application/json")
    try:
        async with asyncio.timeout(timeout_s):
            body = await request.read()
    except TimeoutError as error:
        raise MalformedJson(f"the body did not arrive within {timeout_s:g} s") from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise MalformedJson("the body is incomplete or damaged") from error
    return parsed_object(body)


def text_member(members: Mapping[str, Any], field: str) -> str:
    """Raises MissingField or InvalidField."""
    value = members.get(field)
    if value is None:
        raise MissingField(f"{field} is missing", field=field)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not is_printable(value):
        raise InvalidField(f"{field} must be a string of 1 to {LONGEST} printable characters", field=field)
    return value


def parsed_object(body: bytes) -> dict[str, Any]:
    """json, not msgspec: a member that is named twice must be noticed. Raises MalformedJson.

    Windows' programs put a byte order mark before UTF-8; RFC 8259, 8.1, lets readers pass over it.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_members, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError, and integers beyond Python's limit
        raise MalformedJson(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedJson("the body is not a JSON object")
    _check_depth(value)
    return value


def _check_depth(value: dict[str, Any]) -> None:
    containers: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        members = [member for one in containers for member in (one.values() if isinstance(one, dict) else one)]
        containers = [member for member in members if isinstance(member, dict | list)]
    if containers:
        raise MalformedJson(f"the body is nested more than {MAX_DEPTH} levels deep")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise MalformedJson("the body names a member twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise MalformedJson(f"the body is not JSON: it holds {name}")
