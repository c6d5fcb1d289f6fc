"""A repository that is a directory: a share that is not there, is full, cannot be written, or loses its power."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from ogagent.capture.folder import Folder
from ogagent.errors import RepositoryUnreachable
from tests.capture.dav_server import MIB, pieces
from tests.simulator.repository_writer import files
from tests.source.hung_share import HungShare, all_closed

ANY: Final = bytes(range(256)) * 1024
PART: Final = ".x.img.CrearImagen-1a2b3c4d.part"

Call = Callable[[Folder], Coroutine[Any, Any, object]]
CALLS: Final[dict[str, Call]] = {
    "room": lambda folder: folder.room(),
    "look": lambda folder: folder.look("x.img"),
    "read": lambda folder: folder.read("x.img", 100),
    "put": lambda folder: folder.put("x.img", b"text"),
    "stream": lambda folder: folder.stream("x.img", pieces(ANY)),
    "move": lambda folder: folder.move("x.img", "y.img"),
    "copy": lambda folder: folder.copy("x.img", "y.img"),
    "remove": lambda folder: folder.remove("x.img"),
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def folder(images: Path) -> Folder:
    return Folder(images)


def place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def link(path: Path, to: Path) -> None:
    path.symlink_to(to)


# --- each call ----------------------------------------------------------------------------------------------------


async def test_an_image_comes_and_goes(folder: Folder, images: Path) -> None:
    assert await folder.look("x.img") is None
    assert await folder.read("x.img", 10) is None
    await folder.stream(PART, pieces(ANY))
    made = await folder.look(PART)
    assert made is not None
    assert made.size == len(ANY)
    await folder.move(PART, "x.img")
    assert await folder.look("x.img") == made, "it is still known"
    await folder.copy("x.img", "x.img.ant")
    await folder.put("x.img.info", b"information")
    await folder.put("x.img.info", b"other")
    assert await folder.read("x.img", 1000) == ANY[:1000]
    assert files(images) == {"x.img": ANY, "x.img.ant": ANY, "x.img.info": b"other"}
    await folder.stream("x.img", pieces(b"new"))
    assert files(images)["x.img.ant"] == ANY, "what is made anew is another file"
    for name in ("x.img", "x.img", "x.img.ant", "x.img.info"):
        await folder.remove(name)
    assert files(images) == {}


async def test_who_may_read_an_image_is_for_the_directory_to_say(folder: Folder, images: Path) -> None:
    await folder.put("x.img.info", b"")
    await folder.stream("x.img", pieces(ANY))
    place(images / "other", b"")
    assert len(modes(images)) == 1


def modes(directory: Path) -> set[int]:
    return {path.stat().st_mode for path in directory.iterdir()}


async def test_a_rename_onto_a_copy_of_itself(folder: Folder, images: Path) -> None:
    """Both are names of one file: rename(2) does nothing then."""
    await folder.put("x.img", b"image")
    await folder.copy("x.img", "x.img.ant")
    await folder.copy("x.img", PART)
    await folder.move(PART, "x.img.ant")
    assert files(images) == {"x.img": b"image", "x.img.ant": b"image"}


async def test_room(folder: Folder, images: Path) -> None:
    status = os.statvfs(images)
    room = await folder.room()
    assert room is not None
    assert abs(room - status.f_bavail * status.f_frsize) < 1 << 30


async def test_two_that_put_at_the_same_time(folder: Folder, images: Path) -> None:
    """The one that wrote last has it, and both find a whole one."""
    contents = [bytes([65 + number]) * 5000 for number in range(8)]
    for _ in range(10):
        await asyncio.gather(*(folder.put("x.img.lock", content) for content in contents))
        assert await folder.read("x.img.lock", 1 << 20) in contents
    assert set(files(images)) == {"x.img.lock"}


# --- what is interrupted ------------------------------------------------------------------------------------------


async def test_what_fails_in_the_middle_has_no_name(folder: Folder, images: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield ANY
        raise OSError(5, "the disk of the model")

    await folder.put("x.img", b"the one before")
    with pytest.raises(OSError, match="model"):
        await folder.stream(PART, failing())
    assert set(files(images)) <= {"x.img", PART}
    assert files(images)["x.img"] == b"the one before"


async def test_a_cancel_in_the_middle(folder: Folder, images: Path) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield bytes(5 * MIB)
        begun.set()
        await never.wait()

    upload = asyncio.create_task(folder.stream(PART, waiting()))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert files(images) == {PART: bytes(5 * MIB)}
    await folder.stream(PART, pieces(ANY))
    assert files(images) == {PART: ANY}, "it is begun again"


# --- a share that does not answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "asked"), [("room", "statvfs"), ("look", "stat"), ("put", "fsync"), ("move", "replace")]
)
async def test_a_share_that_does_not_answer(
    images: Path, monkeypatch: pytest.MonkeyPatch, call: str, asked: str
) -> None:
    place(images / "x.img", ANY)
    share = HungShare(asked, monkeypatch)
    try:
        with pytest.raises(RepositoryUnreachable, match="does not answer") as failure:
            await CALLS[call](Folder(images, patience_s=0.1))
        assert failure.value.hint
    finally:
        share.back.set()


async def test_a_cancel_while_a_share_does_not_answer(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for is done in the end, one after the other: nothing is left of the part."""
    share, folder = HungShare("fsync", monkeypatch), Folder(images, patience_s=3)
    upload = asyncio.create_task(folder.stream(PART, pieces(ANY)))
    try:
        assert await asyncio.to_thread(share.asked.wait, 300)
        upload.cancel()
        await asyncio.wait([upload], timeout=300)
        assert upload.cancelled()
        with pytest.raises(RepositoryUnreachable):
            await folder.remove(PART)
        assert files(images) == {PART: ANY}
    finally:
        share.back.set()
    await all_closed(images / PART)
    async with asyncio.timeout(300):
        while files(images):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)


# --- where it lies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["room", "put", "stream"])
async def test_a_share_that_is_not_there(tmp_path: Path, call: str) -> None:
    with pytest.raises(RepositoryUnreachable, match="is not there") as failure:
        await CALLS[call](Folder(tmp_path / "share" / "images"))
    assert "mount" in failure.value.hint
    assert files(tmp_path) == {}


@pytest.mark.parametrize("name", ["images", "images/room-1"])
async def test_a_share_that_is_not_mounted(images: Path, name: str) -> None:
    """Its mount point is a directory of the live system's own."""
    share = Folder(images.parent / name, volatile=str(images.parent))
    with pytest.raises(RepositoryUnreachable, match="nothing is mounted there") as failure:
        await share.room()
    assert "mount" in failure.value.hint
    assert await Folder(images.parent / name, volatile="/proc").room() is not None


async def test_one_new_directory_and_no_more(folder: Folder, images: Path) -> None:
    room = Folder(images / "room-1")
    assert await room.room() is not None
    assert await room.look("x.img") is None
    assert await room.read("x.img", 10) is None
    await room.remove("x.img")
    assert files(images) == {}
    await room.put("x.img.lock", b"job")
    await room.stream("x.img", pieces(ANY))
    assert files(images) == {"room-1/": b"", "room-1/x.img.lock": b"job", "room-1/x.img": ANY}
    with pytest.raises(RepositoryUnreachable):
        await Folder(images / "a" / "b").put("x.img", b"")
    assert not {name for name in files(images) if name.startswith("a")}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("leads", ["the directory", "what is above it", "the image"])
async def test_a_link_that_leads_out(tmp_path: Path, images: Path, call: str, leads: str) -> None:
    """Of the directory in which files must lie."""
    outside = tmp_path / "outside"
    (outside / "room").mkdir(parents=True)
    place(outside / "room" / "x.img", b"secret")
    directory = images / "room"
    if leads == "the directory":
        link(directory, outside / "room")
    elif leads == "what is above it":
        link(images / "link", outside)
        directory = images / "link" / "room"
    elif call == "room":
        return
    else:
        directory.mkdir()
        link(directory / "x.img", outside / "room" / "x.img")
    before = files(outside)
    with pytest.raises(RepositoryUnreachable, match="lies outside") as failure:
        await CALLS[call](Folder(directory, str(images)))
    assert "capture.url" in failure.value.hint
    assert files(outside) == before


@pytest.mark.parametrize("call", CALLS)
async def test_a_link_that_stays_within(images: Path, call: str) -> None:
    (images / "room").mkdir()
    place(images / "room" / "x.img", ANY)
    link(images / "link", images / "room")
    link(images.parent / "other", images)
    await CALLS[call](Folder(images / "link", str(images.parent / "other")))
