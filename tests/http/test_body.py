"""Whatever comes as a body: an object, or a refusal; never a failure of the agent."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from ogagent.errors import InvalidField, MalformedJson, MissingField
from ogagent.http.body import MAX_BODY, MAX_DEPTH, json_object, parsed_object, text_member
from ogagent.http.problems import problems

GOOD = b'{"dsk": "1", "par": 2, "more": [1.5, null, {"deep": true}]}'


async def echo(request: web.Request) -> web.Response:
    return web.json_response(await json_object(request))


def make_app(handler: Any = echo) -> web.Application:
    app = web.Application(middlewares=[problems], client_max_size=MAX_BODY)
    app.router.add_post("/", handler)
    return app


async def answer(aiohttp_client: AiohttpClient, body: Any, content_type: str | None = None, **headers: str) -> Any:
    """The object that was understood, or status and code."""
    client = await aiohttp_client(make_app())
    headers |= {"Content-Type": content_type} if content_type is not None else {}
    skip = [] if content_type is not None else ["Content-Type"]
    async with client.post("/", data=body, headers=headers, skip_auto_headers=skip) as response:
        members = await response.json(content_type=None)
        return members if response.status == 200 else (response.status, members["code"])


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "application/vnd.api+json",
        "no type at all",
        "a/b/c;;;",
    ],
)
async def test_json_is_read_whatever_it_is_called(aiohttp_client: AiohttpClient, content_type: str | None) -> None:
    assert await answer(aiohttp_client, GOOD, content_type) == json.loads(GOOD)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/xml; charset=utf-8",
        "application/soap+xml",
        "APPLICATION/XML",
        "text/html",
        "application/yaml",
        "application/x-yaml",
        "application/cbor",
        "image/png",
    ],
)
async def test_another_structured_type_is_refused(aiohttp_client: AiohttpClient, content_type: str) -> None:
    assert await answer(aiohttp_client, GOOD, content_type) == (415, "not-json")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"dsk=1&par=2",
        b"[]",
        b"7",
        b'"text"',
        b"null",
        b"{'dsk': 1}",
        b'{"dsk": 1} {}',
        b'{"dsk": NaN}',
        b'{"dsk": -Infinity}',
        b'{"dsk": 1, "dsk": 2}',
        b'{"deep": {"a": 1, "a": 1}}',
        b'{"dsk": "\xff"}',
        b'\xef\xbb\xbf\xef\xbb\xbf{"dsk": 1}',
        '{"dsk": 1}'.encode("utf-16"),
        b'{"dsk": ' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
        b"\x00" * 100,
    ],
)
async def test_a_body_that_is_no_object(aiohttp_client: AiohttpClient, body: bytes) -> None:
    assert await answer(aiohttp_client, body, "application/json") == (400, "malformed-json")


async def test_a_byte_order_mark_before_the_object_is_passed_over(aiohttp_client: AiohttpClient) -> None:
    assert await answer(aiohttp_client, b"\xef\xbb\xbf" + GOOD) == json.loads(GOOD)


@pytest.mark.parametrize(("depth", "status"), [(MAX_DEPTH, 200), (MAX_DEPTH + 1, 400)])
async def test_nesting_has_a_bound(aiohttp_client: AiohttpClient, depth: int, status: int) -> None:
    body = b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    answered = await answer(aiohttp_client, body)
    assert (200 if isinstance(answered, dict) else answered[0]) == status


async def test_64_kib_are_read_and_one_byte_more_is_not(aiohttp_client: AiohttpClient) -> None:
    body = b'{"a": 1}'.ljust(MAX_BODY)
    assert await answer(aiohttp_client, body) == {"a": 1}
    assert await answer(aiohttp_client, body + b" ") == (413, "body-too-large")


async def test_chunks_are_counted_too(aiohttp_client: AiohttpClient) -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b" " * 1024

    assert await answer(aiohttp_client, chunks(65)) == (413, "body-too-large")
    assert await answer(aiohttp_client, chunks(3)) == (400, "malformed-json")


async def test_what_a_compressed_body_unpacks_to_is_counted(aiohttp_client: AiohttpClient) -> None:
    encoded = {"Content-Encoding": "gzip"}
    assert await answer(aiohttp_client, gzip.compress(GOOD), **encoded) == json.loads(GOOD)
    assert await answer(aiohttp_client, gzip.compress(b" " * 10_000_000), **encoded) == (413, "body-too-large")
    assert await answer(aiohttp_client, b"no gzip", **encoded) == (400, "malformed-json")


@given(body=st.binary(max_size=200) | st.text(alphabet='{}[]":,0a\\uD8 \n', max_size=60).map(str.encode))
def test_no_bytes_make_it_fail(body: bytes) -> None:
    with contextlib.suppress(MalformedJson):
        assert isinstance(parsed_object(body), dict)


async def sent_raw(server: Any, request: bytes, *, then_close: bool) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(request)
    if then_close:
        writer.write_eof()
    status = await asyncio.wait_for(reader.readline(), 300)
    writer.close()
    await writer.wait_closed()
    return status


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


async def test_a_body_that_never_comes_is_given_up(aiohttp_server: AiohttpServer) -> None:
    async def impatient(request: web.Request) -> web.Response:
        return web.json_response(await json_object(request, timeout_s=0.01))

    server = await aiohttp_server(make_app(impatient))
    assert b" 400 " in await sent_raw(server, HEAD, then_close=False)


async def test_a_caller_that_goes_away_is_no_failure(
    aiohttp_server: AiohttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    refused = asyncio.Event()

    async def watched(request: web.Request) -> web.Response:
        try:
            return web.json_response(await json_object(request))
        finally:
            refused.set()

    server = await aiohttp_server(make_app(watched))
    await sent_raw(server, HEAD, then_close=True)
    await asyncio.wait_for(refused.wait(), 300)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_member_that_is_text() -> None:
    assert text_member({"job_id": "RestaurarImagen-00000000"}, "job_id") == "RestaurarImagen-00000000"
    for members in ({}, {"job_id": None}):
        with pytest.raises(MissingField) as missing:
            text_member(members, "job_id")
        assert missing.value.field == "job_id"
    wrong: list[Any] = ["", 7, True, [], {}, "x" * 201, "a\nb", "\ud800"]
    for value in wrong:
        with pytest.raises(InvalidField) as invalid:
            text_member({"job_id": value}, "job_id")
        assert invalid.value.field == "job_id"
