"""The HTTP source against servers that behave, and servers that break off, change their mind, or lie."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from pytest_aiohttp.plugin import AiohttpServer
from yarl import URL

from ogagent.errors import (
    AgentError,
    ImageChanged,
    ImageCorrupt,
    ImageNotFound,
    RepositoryNotAllowed,
    RepositoryUnreachable,
)
from ogagent.source.http import open_http
from ogagent.source.resolver import AllowedResolver, Networks
from ogagent.system.tls import client_context, own_identity, server_context

IMAGE: Final = random.Random(1).randbytes(1_000_003)
SIZE: Final = len(IMAGE)
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
ELSEWHERE: Final = (ip_network("10.0.0.0/8"),)
FIRST: Final = 400_000
SECOND: Final = 700_000
VALIDATORS: Final = 'ETag: "one"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT'


class Fetched(Struct, frozen=True):
    data: bytes
    size: int | None
    retries: int


async def fetch(
    url: str | URL, *, networks: Networks | None = LOOPBACK, stall: float = 20, retry: float = 20, ca: str = ""
) -> Fetched:
    retries: list[None] = []
    opened = open_http(
        URL(url),
        tls=client_context(ca, "repository.ca"),
        networks=networks,
        stall_timeout_s=stall,
        retry_for_s=retry,
        on_retry=lambda: retries.append(None),
    )
    async with opened as source:
        data = b"".join([chunk async for chunk in source.chunks()])
        return Fetched(data, source.size, len(retries))


async def failure_of(url: str | URL, *, ca: str = "", networks: Networks | None = LOOPBACK) -> AgentError:
    """With a long patience: what fails at all has failed at once, without another attempt."""
    retries: list[None] = []
    with pytest.raises(AgentError) as failure:
        async with open_http(
            URL(url),
            tls=client_context(ca, "repository.ca"),
            networks=networks,
            stall_timeout_s=20,
            retry_for_s=600,
            on_retry=lambda: retries.append(None),
        ) as source:
            await anext(source.chunks())
    assert not retries
    return failure.value


# --- a server that says what the test wrote -----------------------------------------------------------------------


class Answer(Struct, frozen=True):
    """``hold`` keeps the connection open after ``data``, until the other side leaves."""

    data: bytes
    hold: bool = False


class Scripted(Struct):
    """One answer a connection, in order. ``heads`` are the requests, ``url`` the address."""

    answers: list[Answer]
    heads: list[str] = []
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = self.answers[len(self.heads) - 1]
            writer.write(answer.data)
            await writer.drain()
            if answer.hold:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[Scripted]:
    script = Scripted(list(answers))
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    async with server:
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/image-test.img"
        yield script


def whole(body: bytes, validators: str = VALIDATORS, length: int = SIZE) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{validators}\r\nContent-Length: {length}\r\n\r\n".encode() + body


def partial(start: int, body: bytes, validators: str = VALIDATORS, total: str = str(SIZE)) -> bytes:
    head = f"HTTP/1.1 206 Partial Content\r\n{validators}\r\nContent-Range: bytes {start}-{SIZE - 1}/{total}"
    return f"{head}\r\nContent-Length: {SIZE - start}\r\n\r\n".encode() + body


def header(head: str, name: str) -> str | None:
    lines = (line.partition(": ") for line in head.split("\r\n"))
    return next((value for found, _, value in lines if found.lower() == name.lower()), None)


# --- broken connections -------------------------------------------------------------------------------------------


async def test_a_cut_connection_is_continued_where_it_broke() -> None:
    async with scripted(
        Answer(whole(IMAGE[:FIRST])),
        Answer(partial(FIRST, IMAGE[FIRST:SECOND])),
        Answer(partial(SECOND, IMAGE[SECOND:])),
    ) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 2)
    assert [header(head, "Range") for head in server.heads] == [None, f"bytes={FIRST}-", f"bytes={SECOND}-"]
    assert [header(head, "If-Range") for head in server.heads] == [None, '"one"', '"one"']
    assert {header(head, "Accept-Encoding") for head in server.heads} == {"identity"}


async def test_without_a_strong_etag_the_date_guards_the_continuation() -> None:
    validators = 'ETag: W/"weak"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT'
    async with scripted(
        Answer(whole(IMAGE[:FIRST], validators)), Answer(partial(FIRST, IMAGE[FIRST:], validators))
    ) as server:
        assert (await fetch(server.url)).data == IMAGE
    assert header(server.heads[1], "If-Range") == "Tue, 24 Nov 2026 10:00:00 GMT"


async def test_a_server_that_ignores_range_is_skipped_through() -> None:
    async with scripted(Answer(whole(IMAGE[:FIRST])), Answer(whole(IMAGE))) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)
    assert header(server.heads[1], "Range") == f"bytes={FIRST}-"


async def test_a_connection_that_breaks_again_while_it_is_skipped_through() -> None:
    async with scripted(
        Answer(whole(IMAGE[:FIRST])), Answer(whole(IMAGE[: FIRST // 2])), Answer(whole(IMAGE))
    ) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 2)


async def test_a_stall_is_given_up_and_continued() -> None:
    async with scripted(Answer(whole(IMAGE[:FIRST]), hold=True), Answer(partial(FIRST, IMAGE[FIRST:]))) as server:
        assert await fetch(server.url, stall=0.2) == Fetched(IMAGE, SIZE, 1)
    assert header(server.heads[1], "Range") == f"bytes={FIRST}-"


async def test_a_stall_before_the_first_byte() -> None:
    async with scripted(Answer(b"", hold=True), Answer(whole(IMAGE))) as server:
        assert await fetch(server.url, stall=0.2) == Fetched(IMAGE, SIZE, 1)


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"])
async def test_an_answer_that_is_no_http_is_asked_again(garbage: bytes) -> None:
    async with scripted(Answer(garbage), Answer(whole(IMAGE))) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)


async def test_a_connection_that_closes_without_a_word() -> None:
    async with scripted(Answer(b""), Answer(whole(IMAGE))) as server:
        assert (await fetch(server.url)).data == IMAGE


async def test_a_cut_chunked_body_is_no_end() -> None:
    chunked = f"HTTP/1.1 200 OK\r\n{VALIDATORS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    begun = chunked + b"%x\r\n" % FIRST + IMAGE[:FIRST] + b"\r\n"
    again = chunked + b"%x\r\n" % SIZE + IMAGE + b"\r\n0\r\n\r\n"
    async with scripted(Answer(begun), Answer(again)) as server:
        assert await fetch(server.url) == Fetched(IMAGE, None, 1)


# --- another file, or no honest answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "named"),
    [
        (partial(FIRST, b"", VALIDATORS.replace("one", "two")), "ETag"),
        (partial(FIRST, b"", VALIDATORS.replace("10:00", "11:00")), "modified"),
        (partial(FIRST, b"", 'ETag: "one"'), "modified"),
        (partial(FIRST, b"", total=str(SIZE + 1)), "length"),
        (whole(IMAGE, VALIDATORS.replace("one", "two")), "ETag"),
        (whole(IMAGE[:FIRST], length=FIRST), "length"),
        (b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n", "shorter"),
    ],
)
async def test_another_file_is_not_continued_with(second: bytes, named: str) -> None:
    async with scripted(Answer(whole(IMAGE[:FIRST])), Answer(second)) as server:
        with pytest.raises(ImageChanged, match=named) as failure:
            await fetch(server.url)
    assert failure.value.number == 33


@pytest.mark.parametrize("start", [0, FIRST - 1, FIRST + 1])
async def test_a_wrong_range_is_never_taken(start: int) -> None:
    async with scripted(Answer(whole(IMAGE[:FIRST])), Answer(partial(start, IMAGE[start:]))) as server:
        with pytest.raises(RepositoryUnreachable, match="range"):
            await fetch(server.url, retry=0)


async def test_a_wrong_range_may_be_right_the_next_time() -> None:
    async with scripted(
        Answer(whole(IMAGE[:FIRST])), Answer(partial(0, IMAGE)), Answer(partial(FIRST, IMAGE[FIRST:]))
    ) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 2)


async def test_more_than_was_asked_for() -> None:
    body = b"HTTP/1.1 206 Partial Content\r\n" + VALIDATORS.encode() + b"\r\n"
    body += b"Content-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n" % (FIRST, SIZE - 1, SIZE, SIZE)
    async with scripted(Answer(whole(IMAGE[:FIRST])), Answer(body + IMAGE)) as server:
        with pytest.raises(ImageCorrupt, match="more than"):
            await fetch(server.url)


async def test_an_encoding_that_was_not_asked_for() -> None:
    async with scripted(Answer(whole(IMAGE, "Content-Encoding: gzip"))) as server:
        assert isinstance(await failure_of(server.url), RepositoryUnreachable)


# --- parts --------------------------------------------------------------------------------------------------------


async def parts_of(url: str | URL, *wanted: tuple[int, int], retry: float = 20) -> tuple[list[bytes], bool]:
    """All at once; and whether the server takes ranges."""
    opened = open_http(
        URL(url),
        tls=client_context("", ""),
        networks=LOOPBACK,
        stall_timeout_s=20,
        retry_for_s=retry,
        on_retry=lambda: None,
    )
    async with opened as source:

        async def part(start: int, stop: int) -> bytes:
            return b"".join([chunk async for chunk in source.part(start, stop)])

        return await asyncio.gather(*(part(*each) for each in wanted)), source.takes_ranges


async def test_parts_from_a_real_file_server(aiohttp_server: AiohttpServer, tmp_path: Path) -> None:
    (tmp_path / "image-test.img").write_bytes(IMAGE)
    app = web.Application()
    app.router.add_static("/images", tmp_path)
    url = (await aiohttp_server(app)).make_url("/images/image-test.img")
    wanted = [(0, 1), (5, 700_001), (FIRST, SECOND), (SIZE - 1, SIZE), (SIZE - 10, SIZE + 10), (0, SIZE)]
    found, takes_ranges = await parts_of(url, *wanted)
    assert found == [IMAGE[start:stop] for start, stop in wanted]
    assert takes_ranges


async def test_parts_from_a_server_that_sends_all(aiohttp_server: AiohttpServer) -> None:
    url = (await aiohttp_server(statuses())).make_url("/image-test.img")
    found, takes_ranges = await parts_of(url, (0, 10), (FIRST, SECOND))
    assert found == [IMAGE[:10], IMAGE[FIRST:SECOND]]
    assert not takes_ranges


async def test_a_part_is_continued_where_it_broke() -> None:
    async with scripted(Answer(partial(FIRST, IMAGE[FIRST:SECOND])), Answer(partial(SECOND, IMAGE[SECOND:]))) as server:
        found, _ = await parts_of(server.url, (FIRST, SIZE))
    assert found == [IMAGE[FIRST:]]
    assert [header(head, "Range") for head in server.heads] == [
        f"bytes={FIRST}-{SIZE - 1}",
        f"bytes={SECOND}-{SIZE - 1}",
    ]
    assert [header(head, "If-Range") for head in server.heads] == [None, '"one"']


async def test_a_part_of_another_file() -> None:
    other = VALIDATORS.replace("one", "two")
    async with scripted(Answer(partial(FIRST, IMAGE[FIRST:SECOND])), Answer(partial(SECOND, b"", other))) as server:
        with pytest.raises(ImageChanged, match="ETag"):
            await parts_of(server.url, (FIRST, SIZE))


async def test_more_than_the_part_that_was_asked_for() -> None:
    async with scripted(Answer(partial(FIRST, IMAGE[FIRST:]))) as server:
        with pytest.raises(ImageCorrupt, match="more than"):
            await parts_of(server.url, (FIRST, SECOND))


# --- statuses -----------------------------------------------------------------------------------------------------


def statuses(*codes: int) -> web.Application:
    """Answers with these, and afterwards with the image."""
    left = list(codes)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=left.pop(0)) if left else web.Response(body=IMAGE)

    app = web.Application()
    app.router.add_get("/image-test.img", answer)
    return app


async def test_a_whole_file(aiohttp_server: AiohttpServer) -> None:
    server = await aiohttp_server(statuses())
    assert await fetch(server.make_url("/image-test.img")) == Fetched(IMAGE, SIZE, 0)


async def test_a_real_file_server(aiohttp_server: AiohttpServer, tmp_path: Path) -> None:
    (tmp_path / "image-test.img").write_bytes(IMAGE)
    app = web.Application()
    app.router.add_static("/images", tmp_path)
    server = await aiohttp_server(app)
    assert await fetch(server.make_url("/images/image-test.img")) == Fetched(IMAGE, SIZE, 0)


@pytest.mark.parametrize("status", [404, 410])
async def test_an_image_that_is_not_there(aiohttp_server: AiohttpServer, status: int) -> None:
    failure = await failure_of((await aiohttp_server(statuses(status))).make_url("/image-test.img"))
    assert isinstance(failure, ImageNotFound)
    assert failure.number == 2


@pytest.mark.parametrize("status", [400, 401, 403, 204])
async def test_a_refusal_is_final(aiohttp_server: AiohttpServer, status: int) -> None:
    failure = await failure_of((await aiohttp_server(statuses(status))).make_url("/image-test.img"))
    assert isinstance(failure, RepositoryUnreachable)
    assert failure.number == 23
    assert str(status) in failure.message


@pytest.mark.parametrize("status", [429, 503])
async def test_a_passing_failure_is_tried_again(aiohttp_server: AiohttpServer, status: int) -> None:
    server = await aiohttp_server(statuses(status))
    assert await fetch(server.make_url("/image-test.img")) == Fetched(IMAGE, SIZE, 1)


async def test_a_failure_that_does_not_pass(aiohttp_server: AiohttpServer) -> None:
    server = await aiohttp_server(statuses(*[503] * 9))
    with pytest.raises(RepositoryUnreachable, match="503") as failure:
        await fetch(server.make_url("/image-test.img"), retry=0)
    assert failure.value.number == 23


async def test_nobody_listens(unused_tcp_port: int) -> None:
    with pytest.raises(RepositoryUnreachable) as failure:
        await fetch(f"http://127.0.0.1:{unused_tcp_port}/image-test.img", retry=0)
    assert failure.value.number == 23
    assert failure.value.hint


# --- redirects, addresses, certificates ---------------------------------------------------------------------------


def redirecting(places: Sequence[str]) -> web.Application:
    """``/0`` redirects to the first place, ``/1`` to the second, and so on; ``/image`` is the image."""

    async def redirect(request: web.Request) -> web.Response:
        location = places[int(request.match_info["step"])]
        return web.Response(status=302, headers={"Location": location})

    async def image(request: web.Request) -> web.Response:
        return web.Response(body=IMAGE)

    app = web.Application()
    app.router.add_get("/image", image)
    app.router.add_get("/{step:[0-9]}", redirect)
    return app


async def test_three_redirects_are_followed(aiohttp_server: AiohttpServer) -> None:
    server = await aiohttp_server(redirecting(["/1", "/2", "/image"]))
    assert (await fetch(server.make_url("/0"))).data == IMAGE


async def test_a_fourth_redirect_is_not_followed(aiohttp_server: AiohttpServer) -> None:
    failure = await failure_of((await aiohttp_server(redirecting(["/1", "/2", "/3", "/image"]))).make_url("/0"))
    assert isinstance(failure, RepositoryUnreachable)
    assert "redirects more than 3 times" in failure.message


@pytest.mark.parametrize("place", ["http://192.0.2.1/image", "http://[2001:db8::1]/image", "file:///etc/passwd"])
async def test_a_redirect_that_leads_outside(aiohttp_server: AiohttpServer, place: str) -> None:
    failure = await failure_of((await aiohttp_server(redirecting([place]))).make_url("/0"))
    assert isinstance(failure, RepositoryUnreachable)
    assert failure.number == 23


async def test_from_https_to_http_is_no_way(aiohttp_server: AiohttpServer, tmp_path: Path) -> None:
    plain = await aiohttp_server(redirecting([]))
    app = redirecting([str(plain.make_url("/image"))])
    server = await aiohttp_server(app, ssl=server_context(own_identity(tmp_path, ["127.0.0.1"])))
    failure = await failure_of(server.make_url("/0"), ca=str(tmp_path / "certificate.pem"))
    assert isinstance(failure, RepositoryUnreachable)
    assert "not followed" in failure.message


async def test_a_literal_address_outside_the_networks(aiohttp_server: AiohttpServer) -> None:
    server = await aiohttp_server(statuses())
    failure = await failure_of(server.make_url("/image-test.img"), networks=ELSEWHERE)
    assert isinstance(failure, RepositoryUnreachable)
    assert "repository.allow" in failure.hint


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1", "0x7f.1", "0x7f000001", "127.0.0.1."])
async def test_a_number_that_is_no_address(host: str) -> None:
    """The system would take each for 127.0.0.1 and ask no resolver."""
    failure = await failure_of(f"http://{host}:9/image", networks=LOOPBACK)
    assert isinstance(failure, RepositoryUnreachable)
    assert "neither a host name nor an address" in failure.message


class Rebinding(AbstractResolver):
    """Answers each question with the next address."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        address = self._addresses.pop(0)
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


async def test_a_name_keeps_its_first_address() -> None:
    resolver = AllowedResolver(LOOPBACK, Rebinding("127.0.0.1", "192.0.2.1", "127.0.0.2"))
    found = [(await resolver.resolve("repository", 80))[0]["host"] for _ in range(3)]
    assert found == ["127.0.0.1"] * 3


async def test_of_a_name_with_many_addresses_only_those_inside_count() -> None:
    resolver = AllowedResolver(LOOPBACK, Rebinding("192.0.2.1"))
    with pytest.raises(RepositoryNotAllowed):
        await resolver.resolve("repository", 80)


async def test_a_name_whose_address_is_outside_the_networks(aiohttp_server: AiohttpServer) -> None:
    url = (await aiohttp_server(statuses())).make_url("/image-test.img").with_host("localhost")
    failure = await failure_of(url, networks=ELSEWHERE)
    assert isinstance(failure, RepositoryNotAllowed)
    assert failure.number == 23
    assert (await fetch(url)).data == IMAGE


async def test_a_certificate_that_nobody_vouches_for(aiohttp_server: AiohttpServer, tmp_path: Path) -> None:
    context: ssl.SSLContext = server_context(own_identity(tmp_path, ["127.0.0.1"]))
    url = (await aiohttp_server(statuses(), ssl=context)).make_url("/image-test.img")
    failure = await failure_of(url)
    assert isinstance(failure, RepositoryUnreachable)
    assert failure.number == 23
    assert "repository.ca" in failure.hint
    assert (await fetch(url, ca=str(tmp_path / "certificate.pem"))).data == IMAGE
