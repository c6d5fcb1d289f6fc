"""Every error has its answer, and a bug tells its caller nothing but where to look."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from ogagent import errors
from ogagent.errors import AgentError, Refusal
from ogagent.http.problems import problems

# HTTP status and code, as the interface description lists them.
CONTRACT = {
    400: {"malformed-http", "malformed-json", "missing-field", "invalid-field"},
    401: {"credential-missing", "credential-wrong"},
    403: {"caller-not-allowed"},
    404: {"unknown-path", "disk-not-found", "partition-not-found", "job-not-found"},
    405: {"method-not-allowed"},
    413: {"body-too-large"},
    415: {"not-json"},
    409: {
        *(
            "disk-busy",
            "machine-busy",
            "disk-renumbered",
            "partition-in-use",
            "partition-overlaps",
            "target-is-cache",
            "target-is-system",
        ),
        *("job-finished", "not-in-oglive", "nobody-logged-in"),
    },
    422: {
        *("disk-not-partitioned", "too-few-partitions", "cache-missing"),
        *("method-not-supported", "repository-not-allowed", "filesystem-not-supported"),
        *("nothing-to-boot", "table-does-not-fit"),
        # of /plan:
        *("repository-unreachable", "image-not-found", "image-locked", "image-changed"),
        *("image-unknown-format", "image-corrupt", "image-too-large", "filesystem-mismatch", "signature-refused"),
        *("disk-changed", "repository-full"),
    },
    429: {"too-many-requests"},
    503: {"stopping", "too-many-connections", "sessions-unknown"},
}


def family(kind: type[AgentError]) -> Iterator[type[AgentError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


KINDS = [kind for kind in family(AgentError) if kind.status != 500]


def test_what_no_call_is_answered_with_is_an_error_of_the_agent() -> None:
    foreseen = {*family(errors.SourceError), *family(errors.ImageError), errors.DiskChanged, errors.NoSystem}
    of_captures = {errors.ModelNotClean, errors.RepositoryFull}
    assert set(KINDS) == set(family(Refusal)) | foreseen | of_captures


def test_the_rows_are_those_of_the_interface() -> None:
    leaves = [kind for kind in KINDS if not kind.__subclasses__()]
    rows = {
        status: {kind.code for kind in leaves if kind.status == status} for status in {kind.status for kind in leaves}
    }
    assert rows == CONTRACT


async def told(aiohttp_client: AiohttpClient, error: Exception) -> tuple[int, web.StreamResponse | dict[str, object]]:
    async def failing(request: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[problems])
    app.router.add_get("/", failing)
    client = await aiohttp_client(app)
    async with client.get("/") as response:
        assert response.content_type == "application/problem+json"
        members = await response.json(content_type=None)
        members["headers"] = dict(response.headers)
        return response.status, members


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_is_told_in_full(aiohttp_client: AiohttpClient, kind: type[AgentError]) -> None:
    names = {"field": "dsk", "job_id": "RestaurarImagen-dfa42888"} if issubclass(kind, Refusal) else {}
    error = kind("disk 1 is held", hint="wait", **names)
    status, members = await told(aiohttp_client, error)
    assert status == kind.status
    assert isinstance(members, dict)
    headers = members.pop("headers")
    assert isinstance(headers, dict)
    assert members.pop("title")
    assert members == {
        "type": "about:blank",
        "status": status,
        "detail": "disk 1 is held",
        "error": "disk 1 is held",
        "code": kind.code,
        "number": kind.number,
        "hint": "wait",
        **names,
    }
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert ("Retry-After" in headers) == (status == 429)


async def test_what_is_empty_is_left_out(aiohttp_client: AiohttpClient) -> None:
    _, members = await told(aiohttp_client, errors.Stopping("the agent stops"))
    assert not {"hint", "field", "job_id", "instance"} & set(members)


async def test_text_that_is_no_unicode_can_be_told(aiohttp_client: AiohttpClient) -> None:
    odd = "\ud800"
    status, members = await told(aiohttp_client, errors.JobNotFound(f"no job {odd}", hint=odd, field=odd, job_id=odd))
    assert status == 404
    assert isinstance(members, dict)
    assert members["error"] == "no job \\ud800"
    assert [members[name] for name in ("hint", "field", "job_id")] == ["\\ud800"] * 3


def test_whatever_an_error_quotes_the_journal_can_hold_it() -> None:
    for kind in family(AgentError):
        error = kind("\udcff.img: no", hint="look at \udcff.img")
        assert msgspec.json.encode([error.der, error.message, error.hint, str(error)]).isascii()


async def test_a_bug_is_tied_to_the_log(aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, members = await told(aiohttp_client, ZeroDivisionError("inner\nsecret"))
    assert status == 500
    assert isinstance(members, dict)
    assert members["code"] == "internal"
    assert members["number"] == 40
    del members["headers"]
    assert "inner" not in str(members)
    assert "Traceback" not in str(members)
    (record,) = [record for record in caplog.records if str(members["instance"]) in record.getMessage()]
    assert "in failing" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert str(members["instance"]) in str(members["hint"])
    assert record.levelno == logging.ERROR


async def test_an_error_of_the_agent_that_is_no_refusal(
    aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    missing = errors.ToolMissing("sfdisk is not installed", hint="apt install fdisk")
    status, members = await told(aiohttp_client, missing)
    assert status == 500
    assert isinstance(members, dict)
    assert members["code"] == "tool-missing"
    assert members["error"] == "sfdisk is not installed"
    assert members["hint"] == "apt install fdisk"
    assert str(members["instance"]) in caplog.text


async def test_other_answers_of_aiohttp_pass(aiohttp_client: AiohttpClient) -> None:
    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    app = web.Application(middlewares=[problems])
    app.router.add_get("/", moved)
    client = await aiohttp_client(app)
    async with client.get("/", allow_redirects=False) as response:
        assert response.status == 302
