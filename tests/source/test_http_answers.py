"""What servers say of a file: another one, none that can be, or the same in other words."""

from __future__ import annotations

from typing import Final

import pytest

from ogagent.errors import ImageChanged, ImageCorrupt, RepositoryUnreachable
from tests.source.scripted import (
    FIRST,
    IMAGE,
    SECOND,
    SIZE,
    VALIDATORS,
    Answer,
    Fetched,
    answer,
    failure_of,
    fetch,
    header,
    partial,
    parts_of,
    scripted,
    whole,
)

LONG: Final = "x" * 7000


# --- another file, or no honest answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "named"),
    [
        (partial(FIRST, b"", VALIDATORS.replace("one", "two")), "ETag"),
        (partial(FIRST, b"", VALIDATORS.replace("10:00", "11:00")), "time of change"),
        (partial(FIRST, b"", "X-Nothing: told"), "does not tell"),
        (whole(IMAGE, "X-Nothing: told"), "does not tell"),
        (partial(FIRST, b"", f'ETag: "{LONG}"'), "ETag was"),
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
    assert len(failure.value.message) < 1000


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


# --- the same, in other words -------------------------------------------------------------------------------------

LENGTH: Final = f"Content-Length: {SIZE}"
REST: Final = f"Content-Length: {SIZE - FIRST}"


@pytest.mark.parametrize(
    "validators",
    [
        'ETag: "one"',  # all that a part must tell when it was asked for with If-Range: RFC 9110, 15.3.7
        "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT",
        'etag: "one"\r\nlast-modified: Tue, 24 Nov 2026 10:00:00 GMT',
        'ETAG:"one"  \r\nLast-Modified:   Tue, 24 Nov 2026 10:00:00 GMT',
        'ETag: W/"one"',
        'ETag: w/"one"',
    ],
)
async def test_a_part_of_the_same_file(validators: str) -> None:
    async with scripted(Answer(whole(IMAGE[:FIRST])), Answer(partial(FIRST, IMAGE[FIRST:], validators))) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)


@pytest.mark.parametrize(
    "told",
    [
        f"Content-Range: Bytes {FIRST}-{SIZE - 1}/{SIZE}",
        f"content-range: BYTES  {FIRST} - {SIZE - 1} / {SIZE}",
        f"Content-Range:bytes {FIRST}-{SIZE - 1}/*",
        f"Content-Range: bytes={FIRST}-{SIZE - 1}/{SIZE}",
        f"CONTENT-RANGE: bytes\t{FIRST}-{SIZE - 1}/{SIZE}\r\nAccept-Ranges: none",
    ],
)
async def test_a_range_as_servers_write_it(told: str) -> None:
    second = answer("206 Partial Content", IMAGE[FIRST:], *VALIDATORS.split("\r\n"), told, REST)
    async with scripted(Answer(whole(IMAGE[:FIRST])), second) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)


@pytest.mark.parametrize(
    "told",
    [
        "X-Nothing: told", f"Content-Range: lines {FIRST}-{SIZE - 1}/{SIZE}", f"Content-Range: bytes */{SIZE}",
        f"Content-Range: bytes {FIRST}-{SIZE}/{SIZE}", f"Content-Range: bytes {FIRST}-{FIRST - 1}/{SIZE}",
        f"Content-Range: bytes {FIRST}-{SIZE - 1}/{'9' * 5000}", f"Content-Range: bytes -{FIRST}/{SIZE}",
    ],
)  # fmt: skip
async def test_a_part_of_which_nobody_knows_where_it_belongs(told: str) -> None:
    second = answer("206 Partial Content", IMAGE[FIRST:], *VALIDATORS.split("\r\n"), told, REST)
    async with scripted(Answer(whole(IMAGE[:FIRST])), second) as server:
        with pytest.raises(RepositoryUnreachable, match="answers with the range") as failure:
            await fetch(server.url, retry=0)
    assert len(failure.value.message) < 1000


@pytest.mark.parametrize("stop", [FIRST + 1, SECOND])
async def test_a_part_that_is_shorter_than_asked_for_is_continued(stop: int) -> None:
    told = f"Content-Range: bytes {FIRST}-{stop - 1}/{SIZE}"
    second = answer("206 Partial Content", IMAGE[FIRST:stop], *VALIDATORS.split("\r\n"), told)
    third = Answer(partial(stop, IMAGE[stop:]))
    async with scripted(Answer(whole(IMAGE[:FIRST])), second, third) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 2)
    assert header(server.heads[2], "Range") == f"bytes={stop}-"


async def test_more_than_the_part_says_it_is() -> None:
    told = f"Content-Range: bytes {FIRST}-{SECOND - 1}/{SIZE}"
    second = answer("206 Partial Content", IMAGE[FIRST:], *VALIDATORS.split("\r\n"), told, REST)
    async with scripted(Answer(whole(IMAGE[:FIRST])), second) as server:
        with pytest.raises(ImageCorrupt, match="more than"):
            await fetch(server.url)


async def test_a_first_answer_that_is_a_part() -> None:
    first = answer("206 Partial Content", IMAGE[:FIRST], VALIDATORS, f"Content-Range: bytes 0-{FIRST - 1}/{SIZE}")
    async with scripted(first, Answer(partial(FIRST, IMAGE[FIRST:]))) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)


async def test_a_length_that_only_a_later_answer_tells_counts_from_then_on() -> None:
    chunked = f"HTTP/1.1 200 OK\r\n{VALIDATORS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    first = Answer(chunked + b"%x\r\n" % FIRST + IMAGE[:FIRST] + b"\r\n")
    second = Answer(partial(FIRST, IMAGE[FIRST:SECOND]))
    async with scripted(first, second, Answer(partial(SECOND, IMAGE[SECOND:]))) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 2)
    longer = Answer(partial(SECOND, IMAGE[SECOND:], total=str(SIZE + 1)))
    async with scripted(first, second, longer) as server:
        with pytest.raises(ImageChanged, match="length"):
            await fetch(server.url)


async def test_several_parts_for_one_range() -> None:
    kind = "Content-Type: Multipart/ByteRanges; boundary=x"
    second = answer("206 Partial Content", b"--x\r\n", *VALIDATORS.split("\r\n"), kind)
    async with scripted(Answer(whole(IMAGE[:FIRST])), second) as server:
        with pytest.raises(RepositoryUnreachable, match="several parts") as failure:
            await fetch(server.url, retry=600)
    assert failure.value.hint


# --- 200 and a range, 416 and a length ----------------------------------------------------------------------------


@pytest.mark.parametrize("told", [f"bytes 0-{SIZE - 1}/{SIZE}", f"bytes 0-{SIZE - 1}/*", f"bytes */{SIZE}"])
async def test_the_whole_file_with_its_range(told: str) -> None:
    async with scripted(answer("200 OK", IMAGE, VALIDATORS, LENGTH, f"Content-Range: {told}")) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 0)


@pytest.mark.parametrize("told", [f"bytes {FIRST}-{SIZE - 1}/{SIZE}", f"bytes 0-{SECOND - 1}/{SIZE}"])
async def test_a_part_that_calls_itself_the_whole(told: str) -> None:
    mixed = answer("200 OK", IMAGE[FIRST:], VALIDATORS, REST, f"Content-Range: {told}")
    async with scripted(Answer(whole(IMAGE[:FIRST])), mixed) as server:
        with pytest.raises(RepositoryUnreachable, match=r"answers 200.* and the range"):
            await fetch(server.url, retry=600)


def beyond(told: str) -> Answer:
    return answer("416 Range Not Satisfiable", b"", "Content-Length: 0", told)


async def test_nothing_comes_after_the_last_byte() -> None:
    """No length was told, and the connection broke off between the last byte and the mark of the end."""
    chunked = f"HTTP/1.1 200 OK\r\n{VALIDATORS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    all_but_the_end = Answer(chunked + b"%x\r\n" % SIZE + IMAGE + b"\r\n")
    for told in (f"Content-Range: bytes */{SIZE}", f"content-range: Bytes */{SIZE}"):
        async with scripted(all_but_the_end, beyond(told)) as server:
            assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)
        assert header(server.heads[1], "Range") == f"bytes={SIZE}-"
    for told in ("X-Nothing: told", "Content-Range: bytes */*", "Content-Range: bytes */a"):
        async with scripted(all_but_the_end, beyond(told)) as server:
            with pytest.raises(ImageChanged, match="shorter"):
                await fetch(server.url)


async def test_nothing_after_a_byte_in_the_middle() -> None:
    told = f"Content-Range: bytes */{SIZE}"
    async with scripted(Answer(whole(IMAGE[:FIRST])), beyond(told), Answer(partial(FIRST, IMAGE[FIRST:]))) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 2)
    async with scripted(Answer(whole(IMAGE[:FIRST])), beyond(f"Content-Range: bytes */{FIRST}")) as server:
        with pytest.raises(ImageChanged, match="shorter"):
            await fetch(server.url)


async def test_a_part_beyond_the_end() -> None:
    async with scripted(beyond(f"Content-Range: bytes */{SIZE}")) as server:
        assert (await parts_of(server.url, (SIZE + 5, SIZE + 9)))[0] == [b""]


# --- what If-Range may hold ---------------------------------------------------------------------------------------

SINCE: Final = "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("validators", "guard"),
    [
        (('ETag: "one"', SINCE), '"one"'),
        (('ETag: W/"one"', SINCE, "Date: Tue, 24 Nov 2026 10:00:01 GMT"), "Tue, 24 Nov 2026 10:00:00 GMT"),
        (("ETag: one", SINCE, "Date: Wed, 25 Nov 2026 10:00:00 GMT"), "Tue, 24 Nov 2026 10:00:00 GMT"),
        (('ETag: w/"one"', SINCE, "Date: Tue, 24 Nov 2026 10:00:00 GMT"), None),  # it may change within the second
        ((SINCE, "Date: Tue, 24 Nov 2026 09:00:00 GMT"), None),
        ((SINCE,), None),
        ((SINCE, "Date: 9"), None),
        (("Last-Modified: yesterday", "Date: Wed, 25 Nov 2026 10:00:00 GMT"), None),
        (("Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT", "Date: Fri, 31 Dec 9999 23:59:59 GMT"), None),
    ],
)
async def test_only_what_is_strong_guards_a_part(validators: tuple[str, ...], guard: str | None) -> None:
    first = answer("200 OK", IMAGE[:FIRST], *validators, LENGTH)
    told = f"Content-Range: bytes {FIRST}-{SIZE - 1}/{SIZE}"
    second = answer("206 Partial Content", IMAGE[FIRST:], *validators, told, REST)
    async with scripted(first, second) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)
    assert header(server.heads[1], "If-Range") == guard


# --- codings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "coding", ["identity", "Identity", "", "identity, ", " , identity ,", "gzip", "x-gzip", "GZIP", " X-GZip ,", "zstd"]
)
async def test_a_coding_that_is_none_or_that_of_the_image_itself(coding: str) -> None:
    """The bytes are taken as they come, also when they go on."""
    first = answer("200 OK", IMAGE[:FIRST], VALIDATORS, LENGTH, f"Content-Encoding: {coding}")
    told = f"Content-Range: bytes {FIRST}-{SIZE - 1}/{SIZE}"
    second = answer("206 Partial Content", IMAGE[FIRST:], VALIDATORS, told, f"content-encoding:{coding}")
    async with scripted(first, second) as server:
        assert await fetch(server.url) == Fetched(IMAGE, SIZE, 1)


@pytest.mark.parametrize(
    "codings",
    [
        ("br",),
        (LONG,),
        ("deflate",),
        ("compress",),
        ("gzip, br",),
        ("gzip, gzip",),
        ("identity", "br"),
        ("gzip", "gzip"),
    ],
)
async def test_an_encoding_that_was_not_asked_for(codings: tuple[str, ...]) -> None:
    headers = [f"Content-Encoding: {coding}" for coding in codings]
    async with scripted(answer("200 OK", IMAGE, VALIDATORS, LENGTH, *headers)) as server:
        failure = await failure_of(server.url)
    assert isinstance(failure, RepositoryUnreachable)
    assert "compression" in failure.hint
    assert len(failure.message) < 1000


async def test_what_is_compressed_while_it_is_sent_is_not_the_file() -> None:
    headers = (VALIDATORS, "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    async with scripted(answer("200 OK", b"5\r\nhello\r\n0\r\n\r\n", *headers)) as server:
        assert "encoding 'gzip'" in (await failure_of(server.url)).message
