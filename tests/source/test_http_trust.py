"""Whom the HTTP source believes: addresses, redirects, certificates."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.errors import RepositoryNotAllowed, RepositoryUnreachable
from ogagent.source.resolver import AllowedResolver
from ogagent.system.tls import own_identity, server_context
from tests.source.scripted import IMAGE, LOOPBACK, SIZE, Fetched, failure_of, fetch, statuses, whole
from tests.system.signed import DAY, Authority

ELSEWHERE: Final = (ip_network("10.0.0.0/8"),)


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


@pytest.mark.parametrize(
    ("begins", "ends", "address", "told", "hint"),
    [
        (DAY, 2 * DAY, "127.0.0.1", "not yet valid", "clock, which says 20"),
        (-2 * DAY, -DAY, "127.0.0.1", "expired", "renew the certificate; or set this machine's clock"),
        (-DAY, DAY, "127.0.0.9", "not valid for '127.0.0.1'", "subjectAltName"),
    ],
)
async def test_why_a_certificate_is_not_believed(
    begins: timedelta,
    ends: timedelta,
    address: str,
    told: str,
    hint: str,
    aiohttp_server: AiohttpServer,
    tmp_path: Path,
) -> None:
    """``repository.ca`` is right, and is not what is talked of."""
    ca = Authority(tmp_path)
    server = await aiohttp_server(statuses(), ssl=ca.server(address, begins=begins, ends=ends))
    failure = await failure_of(server.make_url("/image-test.img"), ca=str(ca.pem))
    assert isinstance(failure, RepositoryUnreachable)
    assert told in failure.message
    assert hint in failure.hint
    assert "repository.ca" not in failure.hint


async def test_a_handshake_that_is_broken_off_is_tried_again(tmp_path: Path) -> None:
    """As of a server that is being started anew."""
    ca = Authority(tmp_path)
    calls = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            await writer.start_tls(ca.server())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(whole(IMAGE))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/image-test.img"
        assert await fetch(url, ca=str(ca.pem)) == Fetched(IMAGE, SIZE, 1)


@pytest.mark.parametrize("place", ["http://[bad", "http://127.0.0.1:999999/", "http://" + "x" * 5000 + "/", "//[::1/"])
async def test_a_redirect_to_what_is_no_address(aiohttp_server: AiohttpServer, place: str) -> None:
    failure = await failure_of((await aiohttp_server(redirecting([place]))).make_url("/0"))
    assert isinstance(failure, RepositoryUnreachable | RepositoryNotAllowed)
    assert len(failure.message) < 1000
