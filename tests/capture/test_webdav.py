"""What a repository is asked over WebDAV, what it answers, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.capture.store import Store, UploadBroken
from ogagent.errors import AgentError, ImageLocked, RepositoryFull, RepositoryUnreachable
from simulator.certificates import Authority
from simulator.repository.app import repository_app
from tests.capture.dav_server import (
    PREFIX,
    SILENCE,
    TOKEN,
    answers_of,
    opened,
    pieces,
    policy,
    raw,
    says,
    served,
)
from tests.simulator.repository_writer import Faults, files

PART: Final = ".x.img.CrearImagen-1a2b3c4d.part"
ANY: Final = bytes(range(256)) * 1024
Call = Callable[[Store], Coroutine[Any, Any, object]]
CALLS: Final[dict[str, Call]] = {
    "put": lambda store: store.put("x.img.info", b"text"),
    "stream": lambda store: store.stream(PART, pieces(ANY)),
    "move": lambda store: store.move("x.img", "y.img"),
    "copy": lambda store: store.copy("x.img", "y.img"),
    "remove": lambda store: store.remove("x.img"),
    "look": lambda store: store.look("x.img"),
    "read": lambda store: store.read("x.img", 100),
}
WRITING: Final = ("put", "stream", "move", "copy", "remove")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def url(images: Path, faults: Faults, tls: SSLContext, aiohttp_server: AiohttpServer) -> str:
    server = await aiohttp_server(repository_app(images, faults=faults, token=TOKEN, quota=1 << 30), ssl=tls)
    return str(server.make_url(f"{PREFIX}/x.img"))


@pytest.fixture
async def store(url: str, authority: Authority, credential: Path) -> AsyncIterator[Store]:
    async with opened(url, policy(authority.certificate, credential)) as store:
        yield store


# --- each call ----------------------------------------------------------------------------------------------------


async def test_an_image_comes_and_goes(store: Store, images: Path) -> None:
    assert await store.look("x.img") is None
    assert await store.read("x.img", 10) is None
    await store.stream(PART, pieces(ANY))
    await store.put(f"{PART}.info", b"information")
    made = await store.look(PART)
    assert made is not None
    assert made.size == len(ANY)
    await store.move(PART, "x.img")
    assert await store.look("x.img") == made, "it is still known"
    await store.copy("x.img", "x.img.ant")
    assert await store.read("x.img.ant", 1000) == ANY[:1000]
    assert await store.read(f"{PART}.info", 1000) == b"information"
    assert files(images) == {"x.img": ANY, "x.img.ant": ANY, f"{PART}.info": b"information"}
    for name in (f"{PART}.info", "x.img", "x.img.ant", "x.img.ant"):
        await store.remove(name)
    assert files(images) == {}


async def test_what_is_there_is_replaced(store: Store, images: Path) -> None:
    for name in ("x.img", "y.img", "z.img"):
        await store.put(name, name.encode())
    await store.put("z.img", b"other")
    await store.stream("z.img", pieces(b"again"))
    await store.copy("x.img", "y.img")
    await store.move("z.img", "x.img")
    assert files(images) == {"x.img": b"again", "y.img": b"x.img"}


async def test_room(store: Store) -> None:
    before = await store.room()
    assert before is not None
    await store.put("x.img", ANY)
    assert await store.room() == before - len(ANY)


async def test_a_directory_that_nobody_has_made_yet(
    url: str, images: Path, authority: Authority, credential: Path
) -> None:
    async with opened(url.replace("x.img", "room-1/x.img"), policy(authority.certificate, credential)) as store:
        assert await store.room() is None
        assert await store.look("x.img.lock") is None
        await store.put("x.img.lock", b"job")
        await store.stream("x.img", pieces(ANY))
    assert files(images) == {"room-1/": b"", "room-1/x.img.lock": b"job", "room-1/x.img": ANY}


@pytest.mark.parametrize("name", [f"{PART}.index.sig", "ABCXYZabcxyz0189-_.x.img", "x.img.full.sum"])
@pytest.mark.parametrize("folder", ["", "Aula-1_b.2/"])
async def test_names_arrive_as_they_are(tls: SSLContext, authority: Authority, name: str, folder: str) -> None:
    answers = (says(200), says(201), says(201), says(201), says(201), says(204), says(405))
    async with raw(tls, answers_of(*answers)) as server:
        base = server.url.removesuffix("x.img") + folder
        async with opened(f"{base}x.img", policy(authority.certificate)) as store:
            assert store.url(name) == base + name
            await store.look(name)
            await store.put(name, b"")
            await store.stream(name, pieces(b"x"))
            await store.move(name, name)
            await store.copy(name, name)
            await store.remove(name)
            await store.room()
    path = f"{PREFIX}/{folder}{name}"
    methods = ("HEAD", "PUT", "PUT", "MOVE", "COPY", "DELETE")
    assert server.calls == [*(f"{method} {path}" for method in methods), f"PROPFIND {PREFIX}/{folder}"]
    for number in (3, 4):
        assert server.header("Destination", number) == base + name, "Apache takes no path there"
        assert server.header("Overwrite", number) == "T"
    assert server.header("Depth", 6) == "0"


async def test_a_hundred_small_files_in_one_connection(authority: Authority) -> None:
    async with served(authority, answers_of(*[says(201)] * 100)) as (server, store):
        for number in range(100):
            await store.put(f"{number}.img.info", b"text")
    assert (len(server.heads), server.connections) == (100, 1)


# --- what is answered ---------------------------------------------------------------------------------------------

REFUSALS: Final = [
    (401, RepositoryUnreachable, "wants to know who is there", "capture.credential_file"),
    (403, RepositoryUnreachable, "does not allow it", "capture.credential_file"),
    (404, RepositoryUnreachable, "has no such file or directory", "PUT, MOVE, COPY and DELETE"),
    (405, RepositoryUnreachable, "does not know WebDAV", "PUT, MOVE, COPY and DELETE"),
    (409, RepositoryUnreachable, "has no such directory", "PUT, MOVE, COPY and DELETE"),
    (411, RepositoryUnreachable, "length", "PUT, MOVE, COPY and DELETE"),
    (413, RepositoryUnreachable, "takes no file of that size", "client_max_body_size"),
    (418, RepositoryUnreachable, "answers 418", "PUT, MOVE, COPY and DELETE"),
    (423, ImageLocked, "is locked", "wait"),
    (501, RepositoryUnreachable, "does not know WebDAV", "PUT, MOVE, COPY and DELETE"),
    (507, RepositoryFull, "no room", "make room"),
]


@pytest.mark.parametrize("call", WRITING)
@pytest.mark.parametrize(("status", "error", "word", "hint"), REFUSALS)
async def test_a_refusal(
    store: Store, url: str, faults: Faults, caplog: pytest.LogCaptureFixture,
    status: int, error: type[AgentError], word: str, hint: str, call: str,
) -> None:  # fmt: skip
    """Is told in words, and at once."""
    caplog.set_level(logging.DEBUG)
    faults.become(f"repository:write-status={status}")
    if (status, call) == (404, "remove"):
        await CALLS[call](store)
        return
    with pytest.raises(error) as failure:
        await CALLS[call](store)
    assert url.rpartition("/")[0] in failure.value.message
    assert word in failure.value.message
    assert hint in failure.value.hint
    assert TOKEN not in repr(failure.value) + failure.value.hint + caplog.text


@pytest.mark.parametrize("call", ["look", "read"])
@pytest.mark.parametrize("status", [401, 403, 418])
async def test_reading_is_refused(store: Store, faults: Faults, call: str, status: int) -> None:
    faults.become(f"repository:status={status}")
    with pytest.raises(RepositoryUnreachable, match=r"x\.img: the repository"):
        await CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_what_passes_and_does_not(store: Store, url: str, faults: Faults, call: str, status: int) -> None:
    faults.become(f"repository:status={status}")
    with pytest.raises((RepositoryUnreachable, UploadBroken), match=f"it answers {status}") as failure:
        await CALLS[call](store)
    assert isinstance(failure.value, UploadBroken) == (call == "stream")
    assert ("disk is full" in str(failure.value)) == (status == 500), "see what nginx says"


@pytest.mark.parametrize("call", ["put", "move", "look"])
async def test_what_passes(authority: Authority, call: str, caplog: pytest.LogCaptureFixture) -> None:
    last = b"HTTP/1.1 204 So\r\nETag: 1\r\n\r\n"
    async with served(authority, answers_of(says(503), b"nonsense\r\n\r\n", last), retry=60) as (server, store):
        await CALLS[call](store)
    assert len(server.calls) == 3
    assert len(set(server.calls)) == 1, "the same again"
    assert caplog.text.count("trying again") == 2


async def test_nonsense_is_told_without_the_token(
    tls: SSLContext, authority: Authority, credential: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(authority, answers_of(b"nonsense\r\n\r\n"), credential=credential) as (server, store):
        with pytest.raises(RepositoryUnreachable) as failure:
            await store.look("x.img")
    assert server.header("Authorization") == f"Bearer {TOKEN}"
    assert TOKEN not in repr(failure.value) + failure.value.hint + caplog.text


@pytest.mark.parametrize("call", ["put", "look", "read", "room"])
async def test_nobody_answers(authority: Authority, call: str) -> None:
    """A server that copies an image may take its time, one that is asked for its size may not."""
    async with served(authority, answers_of(SILENCE), stall=0.5) as (_, store):
        with pytest.raises(RepositoryUnreachable, match="no answer in time"):
            await (store.room() if call == "room" else CALLS[call](store))
