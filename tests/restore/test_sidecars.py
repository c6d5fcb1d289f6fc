"""``.lock`` and ``.full.sum`` beside an image, as they lie in a repository."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.errors import ImageCorrupt, ImageLocked, RepositoryUnreachable
from ogagent.restore.sidecars import WholeFileSum, refuse_locked
from ogagent.source.file import FileSource
from ogagent.source.source import SourcePolicy, open_source
from ogagent.system.tls import client_context

CHUNKS = (b"first " * 1000, b"second " * 1000, b"third")


def image(directory: Path, full_sum: str | None = None) -> str:
    path = directory / "x.img"
    path.write_bytes(b"".join(CHUNKS))
    if full_sum is not None:
        path.with_name("x.img.full.sum").write_text(full_sum)
    return str(path)


async def proof(path: str, warnings: list[str] | None = None) -> WholeFileSum:
    warned: list[str] = [] if warnings is None else warnings
    async with FileSource.open(path) as source:
        found = await WholeFileSum.beside(source, "x.img", warned)
    for chunk in CHUNKS:
        await found.update(chunk)
    return found


async def test_a_locked_image_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path)
    async with FileSource.open(path) as source:
        await refuse_locked(source)
        (tmp_path / "x.img.lock").touch()
        with pytest.raises(ImageLocked) as refused:
            await refuse_locked(source)
    assert refused.value.number == 4


async def asked_of(aiohttp_server: AiohttpServer, *missing: str) -> list[str]:
    """What a web server is asked for that answers all but the ``missing`` with a page."""
    asked = []

    async def page(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path in missing:
            raise web.HTTPNotFound
        return web.Response(text="<html>not found</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{name}", page)
    url = str((await aiohttp_server(app)).make_url("/x.img"))
    policy = SourcePolicy(tls=client_context("", ""), networks=None, stall_timeout_s=20, retry_for_s=20)
    async with open_source(url, policy, lambda: None) as source:
        await refuse_locked(source)
    return asked


async def test_a_repository_that_finds_every_name(aiohttp_server: AiohttpServer) -> None:
    with pytest.raises(RepositoryUnreachable, match="any name") as refused:
        await asked_of(aiohttp_server)
    assert refused.value.number == 23
    assert "404" in refused.value.hint


async def test_where_there_is_no_lock_nothing_else_is_asked_for(aiohttp_server: AiohttpServer) -> None:
    assert await asked_of(aiohttp_server, "/x.img.lock") == ["/x.img.lock"]


@pytest.mark.parametrize(
    "form",
    ["{}", "{}\n", "{}  x.img\n", "{} *x.img\r\n", "MD5 (x.img) = {}\n", "\ufeff{}", "f" * 32 + "  y.img\n{}  x.img\n"],
)
async def test_the_right_sum(tmp_path: Path, form: str) -> None:
    right = hashlib.md5(b"".join(CHUNKS), usedforsecurity=False).hexdigest()
    warnings: list[str] = []
    await (await proof(image(tmp_path, form.format(right)), warnings)).check()
    await (await proof(image(tmp_path, form.format(right.upper())), warnings)).check()
    assert not warnings


@pytest.mark.parametrize("form", ["{}", "MD5 (x.img) = {}\n", "\ufeff{}  x.img\n"])
async def test_a_wrong_sum(tmp_path: Path, form: str) -> None:
    with pytest.raises(ImageCorrupt, match="MD5") as refused:
        await (await proof(image(tmp_path, form.format("0" * 32)))).check()
    assert refused.value.number == 33


async def test_without_a_sum_nothing_is_claimed(tmp_path: Path) -> None:
    await (await proof(image(tmp_path))).check()


@pytest.mark.parametrize("content", ["<html>not found</html>", "", "f" * 32 + "  y.img\n", "f" * 64 + "  x.img\n"])
async def test_a_sum_that_is_none_is_ignored_aloud(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    warnings: list[str] = []
    with caplog.at_level(logging.WARNING):
        await (await proof(image(tmp_path, content), warnings)).check()
    assert ".full.sum" in caplog.text
    assert [re.fullmatch(r"033-x\.img\.full\.sum does not tell .*", warning) for warning in warnings] != [None]
    assert len(warnings) == 1


async def test_no_thread_is_left_that_computes_a_sum(tmp_path: Path) -> None:
    """Whoever waits for it is cancelled; so much is not hashed in a moment."""
    much = bytes(1 << 28)
    right = hashlib.md5(much, usedforsecurity=False).hexdigest()
    async with FileSource.open(image(tmp_path, right)) as source:
        found = await WholeFileSum.beside(source, "x.img", [])
    await found.update(much)
    check = asyncio.create_task(found.check())
    await asyncio.sleep(0)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    assert found._under_way is not None
    assert found._under_way.done()
    assert found._hash.hexdigest() == right
