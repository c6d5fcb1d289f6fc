"""Bytes that are no call: each gets its answer or a closed connection, and never brings the agent down."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from ogagent.http.access import AddressAccess, SecretAccess
from ogagent.http.listener import Limits, Pace
from ogagent.settings import AccessSettings
from tests.security.conftest import unverified

SECRET = "0123456789abcdef" * 4
AUTHORIZED = f"Host: agent\r\nAuthorization: {SECRET}\r\n".encode()
POST = b"POST /CloningEngine/RestaurarImagen HTTP/1.1\r\n" + AUTHORIZED
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"
KEPT = b"GET /healthz HTTP/1.1\r\nHost: agent\r\n\r\n"

NO_HTTP = {
    "noise": b"\x00\xff\xfe\x80" * 20 + b"\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "http 0.9": b"GET /healthz\r\n\r\n",
    "http 3": b"GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n",
    "a method with a zero byte": b"GE\x00T /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a header with a zero byte": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "a header without a name": b"GET /healthz HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "a line that never ends": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "a header that never ends": b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a thousand headers": b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "both lengths": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a huge length": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "an unknown encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in disguise": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
}


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_not_http(open_face: Any, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A documented refusal and the end of the connection, so that nothing smuggled behind it is ever read."""
    async with open_face(SecretAccess(SECRET)) as agent:
        answer = await agent.tell(sent + HEALTH)
        assert status_of(answer) == 400
        assert b"application/problem+json" in answer
        assert b'"code":"malformed-http"' in answer
        assert answer.count(b"HTTP/1.") == 1
        assert (await agent.tell(HEALTH)).startswith(b"HTTP/1.1 200 ")
        assert agent.jobs.asked == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# What is HTTP, but odd: the status that it is answered with.
ODD = {
    "a damaged chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", {400}),
    "an extended chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n", {400}),
    "an expectation": (POST + b"Expect: a miracle\r\nContent-Length: 2\r\n\r\n{}", {400}),
    "an upgrade": (
        b"GET /jobs HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + AUTHORIZED + b"\r\n",
        {200},
    ),
    "a tunnel": (b"CONNECT 192.168.2.1:22 HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", {400, 404, 405}),
    "a proxy's request": (b"GET http://192.168.2.1/jobs HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", {200, 404}),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", {404, 405}),
    "an escaped path": (b"GET /%2e%2e/%00 HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", {404}),
    "an unknown method": (b"BREW /jobs HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", {400, 405}),
    "a body with GET": (b"GET /jobs HTTP/1.1\r\nContent-Length: 2\r\n" + AUTHORIZED + b"\r\n{}", {200}),
    "latin-1 in a header": (b"GET /jobs HTTP/1.1\r\nHost: a\r\nAuthorization: \xe4\xff\r\n\r\n", {401}),
}


@pytest.mark.parametrize(("sent", "statuses"), ODD.values(), ids=ODD.keys())
async def test_what_is_odd(open_face: Any, sent: bytes, statuses: set[int], caplog: pytest.LogCaptureFixture) -> None:
    async with open_face(SecretAccess(SECRET)) as agent:
        answer = await agent.tell(sent, to_the_end=False)
        assert status_of(answer) in statuses, answer
        assert (await agent.tell(HEALTH)).startswith(b"HTTP/1.1 200 ")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


BAD_JSON = {
    "deep": b'{"dsk": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a huge number": b'{"dsk": ' + b"9" * 60_000 + b"}",
    "a huge exponent": b'{"dsk": 1e999999999}',
    "twice the same member": b'{"dsk": "1", "dsk": "2"}',
    "no utf-8": b'{"dsk": "\xff\xfe"}',
    "a zero byte": b'{"dsk": "1\x00"}',
    "an escaped zero byte": b'{"dsk": "1\\u0000"}',
    "not a number": b'{"dsk": NaN}',
    "no object": b"[]",
    "nothing": b"",
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON.keys())
async def test_json_that_is_none(open_face: Any, body: bytes) -> None:
    async with open_face(SecretAccess(SECRET)) as agent:
        head = POST + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        answer = await agent.tell(head + body)
        assert status_of(answer) == 400
        assert b'"code":"malformed-json"' in answer or b'"code":"invalid-field"' in answer
        assert agent.jobs.asked == []


async def test_pipelined_calls_are_answered_in_order(open_face: Any) -> None:
    wanted = [b"/healthz", b"/nothing", b"/disks"]
    async with open_face(SecretAccess(SECRET)) as agent:
        calls = b"".join(b"GET " + path + b" HTTP/1.1\r\n" + AUTHORIZED + b"\r\n" for path in wanted)
        answer = await agent.tell(calls * 30 + HEALTH)
        assert [status_of(b"HTTP/1.1 " + part) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 404, 200] * 30 + [
            200
        ]


# --- who dawdles, and too many ------------------------------------------------------------------------------------


def test_the_limits() -> None:
    assert (Limits().connections, Limits().per_address) == (64, 8)
    assert (Limits().per_second, Limits().patience_s) == (50.0, 15.0)


@pytest.mark.parametrize("sent", [b"", b"GET /jobs HTTP/1.1\r\nHost: ", KEPT + b"GET /jobs HTTP/1.1\r\nX: "])
async def test_headers_that_never_come_end_the_connection(open_face: Any, sent: bytes) -> None:
    """Neither a drop now and then nor a whole request before it gives more time."""
    async with open_face(SecretAccess(SECRET), limits=Limits(patience_s=3)) as agent:
        reader, writer = await agent.connect()
        writer.write(sent)
        end = asyncio.create_task(reader.read())
        async with asyncio.timeout(300):
            while not end.done():
                if sent and not writer.is_closing():
                    writer.write(b"x")
                await asyncio.sleep(0.02)
        writer.transport.abort()
        assert end.exception() or end.result().count(b"HTTP/1.") == sent.count(KEPT)


async def test_a_handshake_that_never_comes_ends_the_connection(open_face: Any) -> None:
    async with open_face(SecretAccess(SECRET), limits=Limits(patience_s=1)) as agent:
        reader, writer = await asyncio.open_connection(agent.address, agent.port)
        assert await asyncio.wait_for(reader.read(), 300) == b""
        writer.close()


async def test_one_too_many_is_told_so(open_face: Any) -> None:
    limits = Limits(connections=3, refusals=2, per_second=1000)
    async with open_face(SecretAccess(SECRET), limits=limits) as agent:
        held = [await agent.connect() for _ in range(2)]
        plain = await asyncio.open_connection(agent.address, agent.port)  # one that has not even begun its handshake
        answer = await agent.tell(HEALTH)
        assert status_of(answer) == 503
        assert b'"code":"too-many-connections"' in answer
        plain[1].transport.abort()
        await until_served(agent)
        for _, writer in held:
            writer.transport.abort()


async def test_beyond_the_refusals_callers_wait_and_are_served_in_the_end(open_face: Any) -> None:
    async with open_face(SecretAccess(SECRET), limits=Limits(connections=1, refusals=1, per_second=1000)) as agent:
        held = [await agent.connect() for _ in range(2)]
        waiting = asyncio.create_task(agent.tell(HEALTH))
        for _, writer in held:
            writer.transport.abort()
        assert status_of(await waiting) in (200, 503)
        await until_served(agent)


async def test_one_host_does_not_keep_another_out(open_face: Any) -> None:
    """He has opened all that he can, and says nothing; ogCore comes from elsewhere."""
    limits = Limits(connections=12, refusals=4, per_address=8, per_second=1000)
    async with open_face(SecretAccess(SECRET), limits=limits, address="0.0.0.0") as agent:
        held = [await connected(agent, "127.0.6.66") for _ in range(3 * 16)]
        await until(lambda: (agent.acceptor._served["127.0.6.66"], agent.acceptor._told["127.0.6.66"]) == (8, 2))
        reader, writer = await connected(agent, "127.0.6.1", unverified())
        writer.write(HEALTH)
        assert status_of(await reader.read()) == 200
        for _, each in (*held, (reader, writer)):
            each.transport.abort()


async def test_while_there_is_room_nobody_is_counted(open_face: Any) -> None:
    """ogCore shows forty jobs, and asks for all of them at once."""
    async with open_face(SecretAccess(SECRET), limits=Limits(per_second=1000)) as agent:
        held = [await agent.connect() for _ in range(Limits().connections // 2)]
        assert status_of(await agent.tell(HEALTH)) == 503
        held[-1][1].transport.abort()
        await until_served(agent)
        for _, each in held:
            each.transport.abort()


async def test_who_has_his_share_is_told_so_until_it_is_too_much(open_face: Any) -> None:
    limits = Limits(connections=5, per_address=2, per_second=1000)
    async with open_face(SecretAccess(SECRET), limits=limits) as agent:
        held = [await agent.connect() for _ in range(2)]
        answer = await agent.tell(HEALTH)
        assert status_of(answer) == 503
        assert b"127.0.0.1 has 2 connections to this agent already" in answer
        await until(lambda: not agent.acceptor._told)
        held += [await asyncio.open_connection(agent.address, agent.port) for _ in range(2)]
        await until(lambda: agent.acceptor._told["127.0.0.1"] == 2)
        reader, writer = await asyncio.open_connection(agent.address, agent.port)
        assert await reader.read() == b""
        for _, each in (*held, (reader, writer)):
            each.transport.abort()
        await until(lambda: not agent.acceptor._told and not agent.acceptor._served)
        assert status_of(await agent.tell(HEALTH)) == 200


async def connected(
    agent: Any, address: str, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(agent.address, agent.port, ssl=tls, local_addr=(address, 0))


async def test_after_a_burst_connections_come_at_a_steady_pace() -> None:
    now, waits = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    pace = Pace(0.25, 3, lambda: now, sleep)
    for _ in range(5):
        await pace.wait()
    assert waits == [0.25, 0.25]
    now += 0.5
    for _ in range(3):
        await pace.wait()
    assert waits == [0.25, 0.25, 0.25]


async def test_the_door_keeps_the_pace(open_face: Any) -> None:
    async with open_face(SecretAccess(SECRET)) as agent:
        before = agent.acceptor._pace._due
        for _ in range(3):
            assert status_of(await agent.tell(HEALTH)) == 200
        assert agent.acceptor._pace._due >= before + 3 / Limits().per_second


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - the agent notices in its own time
            await asyncio.sleep(0.02)


async def until_served(agent: Any) -> None:
    async with asyncio.timeout(300):
        while status_of(await agent.tell(HEALTH)) != 200:  # noqa: ASYNC110 - the agent notices in its own time
            await asyncio.sleep(0.02)


async def test_handshakes_that_are_broken_off_cost_no_place(open_face: Any) -> None:
    async with open_face(SecretAccess(SECRET), limits=Limits(connections=2, refusals=1, per_second=1000)) as agent:
        for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
            for _ in range(5):
                _, writer = await asyncio.open_connection(agent.address, agent.port)
                writer.write(noise)
                writer.transport.abort()
        await until_served(agent)


async def test_a_caller_over_ipv4_has_its_own_address_also_on_a_socket_of_both_kinds(open_face: Any) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    access = AddressAccess(AccessSettings(mode="address", allow=("127.0.0.0/8",)).networks)
    async with open_face(access, address="::") as agent:
        assert status_of(await agent.get("/jobs")) == 200
        agent.address = "::1"
        assert status_of(await agent.get("/jobs")) == 403
