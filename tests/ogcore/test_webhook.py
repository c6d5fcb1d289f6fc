"""One report against servers that behave, and servers that do not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pytest_aiohttp.plugin import AiohttpServer

from ogagent import __version__
from ogagent.ogcore.webhook import Again, Delivered, Outcome, Refused, Webhook, open_session, retry_after
from ogagent.system.tls import client_context, own_identity, server_context

SECRET = "0123456789abcdef" * 4
REPORT = {"job_id": "RestaurarImagen-dfa42888", "progress": 41, "phase": "fetching", "der": "030-größer"}
EVENT = "2f1d6f4e-8a7e-4f6e-9f53-5a1d7f1d8f10"
NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
ANSWER = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session(client_context("", "ogcore.ca"), "") as opened:
        yield opened


Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(answered: Connected) -> AsyncIterator[str]:
    """``answered`` speaks after the request has been read; its end closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
            await reader.readexactly(length)
            await answered(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"


def saying(data: bytes) -> Connected:
    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answered


async def outcome_of(session: ClientSession, data: bytes) -> Outcome:
    async with raw_server(saying(data)) as url:
        return await Webhook(session, url, SECRET).post(EVENT, REPORT)


async def test_headers_and_signature(session: ClientSession, aiohttp_server: AiohttpServer) -> None:
    seen: list[tuple[Any, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((request.headers, await request.read()))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/hook", take)
    server = await aiohttp_server(app)
    assert await Webhook(session, str(server.make_url("/hook")), SECRET).post(EVENT, REPORT) == Delivered()
    ((headers, body),) = seen
    assert json.loads(body) == REPORT
    assert headers["X-OgAgent-Event"] == EVENT
    expected = hmac.HMAC(SECRET.encode(), body, digestmod=hashlib.sha256).hexdigest()
    assert headers["X-OgAgent-Signature"] == f"sha256={expected}"
    assert headers["User-Agent"] == f"python-requests/0 ogagent/{__version__}"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_delivered(session: ClientSession, status: int) -> None:
    assert await outcome_of(session, f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()) == Delivered()


@pytest.mark.parametrize("status", [302, 307, 408, 425, 429, 500, 502, 503, 599])
async def test_again(session: ClientSession, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 4\r\nLocation: /x\r\nRetry-After: 7\r\n\r\nbusy"
    assert await outcome_of(session, head.encode()) == Again(f"{status} 'busy'", 7.0)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_no_word_about_the_report(session: ClientSession, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nno"
    assert await outcome_of(session, head.encode()) == Again(f"{status} 'no'", 7.0, unknown=True)


@pytest.mark.parametrize("status", [400, 409, 410, 413, 422])
async def test_refused(session: ClientSession, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno"
    assert await outcome_of(session, head.encode()) == Refused(f"{status} 'no'")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage\r\n\r\n",
        b"\x00" * 5000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none(session: ClientSession, data: bytes) -> None:
    assert isinstance(await outcome_of(session, data), Again)


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\nclosed in the middle",
        b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip",
        b"Content-Type: text/plain; charset=none\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    ],
)
async def test_an_answer_that_breaks_after_it_said_yes(session: ClientSession, rest: bytes) -> None:
    assert await outcome_of(session, ANSWER + rest) == Delivered()


async def test_an_endless_answer_is_not_read(session: ClientSession) -> None:
    pieces = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pieces
        writer.write(ANSWER + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            pieces += 1

    async with raw_server(endless) as url:
        assert await Webhook(session, url, SECRET).post(EVENT, REPORT) == Delivered()
    assert pieces < 500  # what the buffers of the sockets hold, 64 KiB each


async def test_a_server_that_does_not_answer_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        open_session(client_context("", "ogcore.ca"), "", timeout_s=0.05) as session,
        raw_server(silent) as url,
    ):
        outcome = await Webhook(session, url, SECRET).post(EVENT, REPORT)
    assert isinstance(outcome, Again)


async def test_a_server_that_never_ends_its_yes() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER + b"Content-Length: 100\r\n\r\n{")
        await reader.read()

    async with open_session(client_context("", "ogcore.ca"), "", timeout_s=5) as session, raw_server(slow) as url:
        assert await Webhook(session, url, SECRET).post(EVENT, REPORT) == Delivered()


async def test_ten_seconds_are_the_default(session: ClientSession) -> None:
    assert session.timeout.total == 10


async def test_nobody_there(session: ClientSession, unused_tcp_port: int) -> None:
    outcome = await Webhook(session, f"http://127.0.0.1:{unused_tcp_port}/", SECRET).post(EVENT, REPORT)
    assert isinstance(outcome, Again)
    outcome = await Webhook(session, "https://ogcore.invalid/", SECRET).post(EVENT, REPORT)
    assert isinstance(outcome, Again)


@pytest.mark.parametrize("slash", ["/", "\\/", "\\u002f", "\\u002F"])
async def test_a_quoted_secret_does_not_reach_the_log(session: ClientSession, slash: str) -> None:
    """Nor as JSON writes it: PHP escapes slashes, others whatever they like."""
    secret = f"{SECRET}/+.*{SECRET}"
    body = f"you sent {secret.replace('/', slash)} and {secret}".encode()
    async with raw_server(saying(b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))) as url:
        assert await Webhook(session, url, secret).post(EVENT, REPORT) == Refused("400 'you sent *** and ***'")


@pytest.mark.parametrize(("trusted", "delivered"), [(True, True), (False, False)])
async def test_ogcore_is_verified(
    tmp_path: Path, aiohttp_server: AiohttpServer, *, trusted: bool, delivered: bool
) -> None:
    seen = []

    async def take(request: web.Request) -> web.Response:
        seen.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    server = await aiohttp_server(app, ssl=server_context(own_identity(tmp_path, ["127.0.0.1"])))
    ca = str(tmp_path / "certificate.pem") if trusted else ""
    async with open_session(client_context(ca, "ogcore.ca"), "") as session:
        outcome = await Webhook(session, str(server.make_url("/")), SECRET).post(EVENT, REPORT)
    assert isinstance(outcome, Delivered if delivered else Again)
    assert len(seen) == delivered
    if isinstance(outcome, Again):
        assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason


@pytest.mark.parametrize(("days", "said"), [((2, 9), "set the clock"), ((-9, -2), "renew it there"), ((-2, 9), "")])
async def test_a_wrong_clock_is_named(
    tmp_path: Path, aiohttp_server: AiohttpServer, days: tuple[int, int], said: str
) -> None:
    """Nobody has looked at the clock of a PC that never appears, unless he is told to."""
    context = presented(tmp_path / "server.pem", days)
    server = await aiohttp_server(web.Application(), ssl=context)
    async with open_session(client_context(str(tmp_path / "server.pem"), "ogcore.ca"), "") as session:
        outcome = await Webhook(session, str(server.make_url("/")), SECRET).post(EVENT, REPORT)
    assert isinstance(outcome, Again)
    if said:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        assert today not in outcome.reason, "it is the same in a minute"
        assert today in outcome.said
        assert said in outcome.said
    else:
        assert outcome.reason.startswith("404")


def presented(file: Path, days: tuple[int, int]) -> ssl.SSLContext:
    """A server's, whose certificate is valid from the one day to the other, counted from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ogCore")])
    start, end = (datetime.now(UTC) + timedelta(days=each) for each in days)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


async def test_connections_leave_from_the_given_address(aiohttp_server: AiohttpServer) -> None:
    async def who(request: web.Request) -> web.Response:
        return web.Response(status=500, text=request.remote)

    app = web.Application()
    app.router.add_post("/", who)
    server = await aiohttp_server(app)
    async with open_session(client_context("", "ogcore.ca"), "127.0.2.2") as session:
        outcome = await Webhook(session, str(server.make_url("/")), SECRET).post(EVENT, REPORT)
    assert outcome == Again("500 '127.0.2.2'")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("3601", 3600),
        ("9" * 9, 3600),
        ("9" * 5000, 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("\udcff", 0),
        ("Tue, 24 Nov 2026 10:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 10:01:30 -0000", 90),
        ("Tue, 24 Nov 2026 09:59:00 GMT", 0),
        (format_datetime(NOW + timedelta(days=9)), 3600),
        ("Tue, 99 Nov 2026 10:01:30 GMT", 0),
        ("Tue, 24 Nov 99999999999 10:01:30 GMT", 0),
        ("Tue, 24 Nov 2026 10:01:30 +9999999999", 0),
    ],
)
def test_retry_after(header: str, seconds: float) -> None:
    assert retry_after(header, NOW) == seconds
