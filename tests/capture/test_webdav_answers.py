"""What one web server answers where another one answers something else: lost moves, tags, directories, room."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from ogagent.capture.store import Look
from ogagent.errors import RepositoryUnreachable
from simulator.certificates import Authority
from tests.capture.dav_server import HANG_UP, PREFIX, answers_of, says, served
from tests.source.scripted import broken

PART: Final = ".x.img.CrearImagen-1a2b3c4d.part"
QUOTA: Final = b'<d:multistatus xmlns:d="DAV:"><d:quota-available-bytes>12345</d:quota-available-bytes></d:multistatus>'


async def test_a_move_whose_answer_is_lost_was_done(authority: Authority) -> None:
    answers = (HANG_UP, says(404), says(404), says(200, b""))
    async with served(authority, answers_of(*answers), retry=60) as (server, store):
        await store.move(PART, "x.img")
    assert [call.rpartition("/")[2] for call in server.calls] == [PART, PART, PART, "x.img"]
    assert [call.split()[0] for call in server.calls] == ["MOVE", "MOVE", "HEAD", "HEAD"]


@pytest.mark.parametrize(
    "answers",
    [
        (says(404),),
        (HANG_UP, says(404), says(404), says(404)),
        (HANG_UP, says(403), says(200)),
    ],
    ids=["no answer was lost", "nothing is there", "it is still where it was"],
)
async def test_a_move_that_was_not_done(authority: Authority, answers: tuple[bytes, ...]) -> None:
    async with served(authority, answers_of(*answers), retry=60) as (server, store):
        with pytest.raises(RepositoryUnreachable, match=r"part: the repository"):
            await store.move(PART, "x.img")
    assert len(server.heads) == len(answers)


async def test_a_move_whose_answer_is_lost_and_which_was_not_done(authority: Authority) -> None:
    async with served(authority, answers_of(HANG_UP, says(201)), retry=60) as (_, store):
        await store.move(PART, "x.img")


async def test_a_directory_that_must_be_asked_for(authority: Authority) -> None:
    """As Apache has it."""
    async with served(authority, answers_of(says(409), says(201), says(201))) as (server, store):
        await store.put("x.img.lock", b"job")
    lock = f"PUT {PREFIX}/x.img.lock"
    assert server.calls == [lock, f"MKCOL {PREFIX}/", lock]
    assert server.bodies == [b"job", b"", b"job"]


@pytest.mark.parametrize(
    ("weak", "strong"), [('ETag: W/"6-1"', 'ETag: "6-1"'), ("Last-Modified: now", "Last-Modified: now")]
)
async def test_what_a_file_is_known_by(authority: Authority, weak: str, strong: str) -> None:
    """Apache's tag is weak while the file is new."""
    async with served(authority, answers_of(says(200, b"", weak), says(200, b"", strong))) as (_, store):
        assert await store.look("x.img") == await store.look("x.img") != Look(0, "")


async def test_what_is_read_is_not_compressed(authority: Authority) -> None:
    async with served(authority, answers_of(says(200, b"job\n"), says(200))) as (server, store):
        assert await store.read("x.img.lock", 100) == b"job\n"
        await store.look("x.img.lock")
    assert [server.header("Accept-Encoding", number) for number in range(2)] == ["identity"] * 2


async def test_what_is_read_is_broken_in_its_middle(authority: Authority) -> None:
    half = broken(bytes(400_000))
    async with (
        asyncio.timeout(300),
        served(authority, answers_of(half, says(200, b"all")), stall=1, retry=60) as (_, store),
    ):
        assert await store.read("x.img.index", 1 << 20) == b"all"


@pytest.mark.parametrize(
    ("answer", "room"),
    [
        (says(207, QUOTA), 12345),
        (says(207, b"<x:quota-available-bytes xmlns:x='DAV:'>\n 7\n</x:quota-available-bytes>"), 7),
        (says(207, b"<d:quota-available-bytes/><d:status>HTTP/1.1 404 Not Found</d:status>"), None),
        (says(207, b"<d:quota-available-bytes>-1</d:quota-available-bytes>"), None),
        (says(207, b"<d:quota-available-bytes>" + b"9" * 30 + b"</d:quota-available-bytes>"), None),
        (says(207, bytes(range(256))), None),
        (says(207), None),
        (says(200, QUOTA), None),
        (says(301, b"", f"Location: {PREFIX}/"), None),
        *((says(status), None) for status in (400, 401, 403, 404, 405, 409, 415, 501)),
    ],
)
async def test_how_much_room_there_is_said_to_be(authority: Authority, answer: bytes, room: int | None) -> None:
    async with served(authority, answers_of(answer)) as (_, store):
        assert await store.room() == room


async def test_an_answer_about_room_that_does_not_end(authority: Authority) -> None:
    """Only its beginning is looked at."""
    endless = says(207, b"<d:a>" * (8 << 20))
    async with served(authority, answers_of(endless, endless.replace(b"<d:a>", QUOTA, 1))) as (_, store):
        assert await store.room() is None
        assert await store.room() == 12345
