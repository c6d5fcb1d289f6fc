"""The HTTP source against servers that behave, break off, or fall silent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.errors import ImageChanged, ImageCorrupt, ImageNotFound, RepositoryUnreachable
from tests.source.scripted import (
    FIRST,
    IMAGE,
    SECOND,
    SIZE,
    VALIDATORS,
    Answer,
    Fetched,
    beside,
    broken,
    failure_of,
    fetch,
    header,
    partial,
    parts_of,
    scripted,
    statuses,
    whole,
)

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
    validators = 'ETag: W/"weak"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\nDate: Tue, 24 Nov 2026 10:00:01 GMT'
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
        assert await fetch(server.url, stall=3.0) == Fetched(IMAGE, SIZE, 1)
    assert header(server.heads[1], "Range") == f"bytes={FIRST}-"


async def test_a_body_in_chunks_that_is_broken_in_their_middle() -> None:
    """aiohttp closes the connection then, and tells nobody."""
    async with asyncio.timeout(300):
        async with scripted(Answer(broken(IMAGE[:FIRST])), Answer(partial(FIRST, IMAGE[FIRST:]))) as server:
            assert await fetch(server.url, stall=1.0) == Fetched(IMAGE, SIZE, 1)
        skipped = (Answer(whole(IMAGE[:SECOND])), Answer(broken(IMAGE[:FIRST])), Answer(whole(IMAGE)))
        async with scripted(*skipped) as server:
            assert await fetch(server.url, stall=1.0) == Fetched(IMAGE, SIZE, 2)
        async with scripted(Answer(broken(IMAGE[:FIRST])), Answer(whole(IMAGE))) as server:
            assert await beside(server.url, stall=1.0) == IMAGE


async def test_a_stall_before_the_first_byte() -> None:
    async with scripted(Answer(b"", hold=True), Answer(whole(IMAGE))) as server:
        assert await fetch(server.url, stall=3.0) == Fetched(IMAGE, SIZE, 1)


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


# --- parts --------------------------------------------------------------------------------------------------------


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
