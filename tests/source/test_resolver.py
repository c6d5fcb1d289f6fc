"""URLs that nobody can ask for: whoever configured them or redirects to them, they are the repository's fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from ogagent.errors import RepositoryUnreachable
from ogagent.model.repository import Networks
from ogagent.source.location import parsed_url
from ogagent.source.resolver import check_host
from ogagent.source.source import SourcePolicy, open_source
from ogagent.system.tls import client_context
from tests.http.bodies import HOSTS

NOT_TO_BE_ASKED: tuple[str, ...] = (
    *("http://[::1/x", "http://a:port/x", "http://a:99999/x", "http://\u200d/x", "http://h\\@x/"),
    *("http://a..b/x", f"http://{'a' * 64}/x", "http://127.1/x", "http://0x7f.1/x", "http://127.1../x"),
)


@asynccontextmanager
async def redirecting(location: str) -> AsyncIterator[str]:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    app = web.Application()
    app.router.add_get("/x.img", redirect)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/x.img"))


async def read(url: str, networks: Networks | None) -> bytes:
    policy = SourcePolicy(tls=client_context("", ""), networks=networks, stall_timeout_s=20, retry_for_s=0)
    async with open_source(url, policy, lambda: None) as source:
        return b"".join([chunk async for chunk in source.chunks()])


@pytest.mark.parametrize("url", NOT_TO_BE_ASKED)
@pytest.mark.parametrize("networks", [None, ()], ids=["from anywhere", "from nowhere"])
async def test_as_the_place_of_an_image(url: str, networks: Networks | None) -> None:
    with pytest.raises(RepositoryUnreachable):
        await read(url, networks)


@pytest.mark.parametrize("url", NOT_TO_BE_ASKED)
async def test_as_the_goal_of_a_redirect(url: str) -> None:
    async with redirecting(url) as first:
        with pytest.raises(RepositoryUnreachable):
            await read(first, None)


@given(HOSTS | st.text(max_size=20))
def test_every_host_is_taken_or_refused(host: str) -> None:
    with suppress(RepositoryUnreachable):
        url = parsed_url(f"http://{host}/x.img")
        check_host(url, None)
        assert (url.raw_host or "").encode("idna")


def test_a_name_that_is_no_punycode_is_left_to_the_resolver() -> None:
    check_host(URL("http://xn--a/x.img"), ())


@pytest.mark.parametrize("text", ["http://user:s3cret@h/x.img", "//s3cret@h/x.img", "http://:s3cret@h/x.img"])
def test_an_address_with_a_password_is_not_used_and_not_shown(text: str) -> None:
    with pytest.raises(RepositoryUnreachable) as caught:
        parsed_url(text, URL("http://repository/y.img"))
    assert "password" in caught.value.message
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"
