"""A model whose file system is made smaller for its image: as it was afterwards, however the capture has ended."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from ogagent.capture import job
from ogagent.capture.job import Made, Making
from ogagent.capture.progress import CaptureProgress
from ogagent.capture.real import RealModels
from ogagent.capture.recovery import Note, settle
from ogagent.capture.store import StorePolicy
from ogagent.disk.by_path import ByPath
from ogagent.errors import AgentError
from ogagent.imagefile.check import read_header
from ogagent.model.job import Phase
from ogagent.model.progress import NoBooks
from tests.capture.engine import SOURCE, plan_of
from tests.jobs.two_disks import until
from tests.resize.movable import ext_files, make_ext, make_ntfs, make_tree, ntfs_files, run, size_of

POLICY: Final = StorePolicy(source=SOURCE)


class Notes(NoBooks):
    """Keeps what is noted, as a journal does."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def committing(self, note: bytes) -> None:
        self.notes.append(msgspec.json.decode(note, type=Note))

    noting = committing

    def committed(self) -> None: ...


class Model:
    """A file system in a file, and the folders around it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.path = folder / "model"
        self.image = folder / "images" / "x.img"
        self.undo = folder / "undo"
        self._folder = folder
        self.image.parent.mkdir()
        self.undo.mkdir()
        self.progress = CaptureProgress(job_id="job", books=(books := Notes()))
        self.notes = books.notes
        if kind == "ntfs":
            self._files: object = make_ntfs(self.path)
            self._names = list(self._files)
        else:
            make_tree(folder / "tree")
            make_ext(self.path, kind, folder / "tree")
            self._files = ext_files(self.path, folder / "before")
        self.size = size_of(self.path)

    async def capture(self) -> Made:
        plan = replace(plan_of(self.path, self.image), reduce=True)
        making = Making(store=POLICY, level=1, threads=2, folder=self.undo)
        machine = ByPath()
        return await job.capture(plan, machine, RealModels(machine), making, self.progress)

    def check(self) -> None:
        assert size_of(self.path) == self.size
        assert list(self.undo.iterdir()) == []
        if self.kind == "ntfs":
            assert ntfs_files(self.path, self._names) == self._files
        else:
            run("e2fsck", "-fn", self.path)
            after = self._folder / "after"
            assert ext_files(self.path, after) == self._files


@pytest.fixture(params=["ext4", "ntfs"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    return Model(tmp_path, request.param)


async def test_its_image_fits_where_the_model_does_not(model: Model, tmp_path: Path) -> None:
    made = await model.capture()
    model.check()
    assert model.progress.warnings == []
    header = read_header(model.image, 1 << 27)
    assert made.used <= header.device_size < model.size
    smaller = tmp_path / "smaller"
    smaller.touch()
    with smaller.open("r+b") as file:
        file.truncate(header.device_size)
    run("zstd", "-q", "-d", model.image, "-o", tmp_path / "plain")
    run("partclone.restore", "-q", "-L", tmp_path / "log", "-s", tmp_path / "plain", "-O", smaller)
    if model.kind == "ext4":
        run("e2fsck", "-fn", smaller)
        assert ext_files(smaller, tmp_path / "there").keys() == ext_files(model.path, tmp_path / "here").keys()
    else:
        assert ntfs_files(smaller, ["file3"]) == ntfs_files(model.path, ["file3"])


async def test_a_repository_that_goes_away_meanwhile(model: Model) -> None:
    work = asyncio.create_task(model.capture())
    await until(lambda: model.progress.phase is Phase.REDUCING or work.done())
    model.image.parent.rename(model.image.parent.with_name("elsewhere"))
    model.image.parent.touch()  # no directory is made in its place
    with pytest.raises(AgentError):
        await work
    assert model.progress.timings.growing
    model.check()


@pytest.mark.parametrize("phase", [Phase.REDUCING, Phase.CAPTURING, Phase.GROWING])
async def test_a_cancel(model: Model, phase: Phase) -> None:
    work = asyncio.create_task(model.capture())
    await until(lambda: model.progress.phase is phase or work.done())
    work.cancel()
    await asyncio.wait([work])
    model.check()
    assert work.cancelled() or work.exception() is None
    assert (model.image.exists()) == (not work.cancelled())
    assert not model.image.with_name("x.img.lock").exists()


async def test_a_cancel_that_comes_too_late(model: Model) -> None:
    """The image has its name, and only the books are still to be written."""
    loop, cancelled = asyncio.get_running_loop(), threading.Event()

    class Slow(Notes):
        def committed(self) -> None:
            loop.call_soon_threadsafe(work.cancel)
            loop.call_soon_threadsafe(loop.call_soon, cancelled.set)  # when the cancel has arrived
            cancelled.wait()

    model.progress.books = Slow()
    work = asyncio.create_task(model.capture())
    assert (await work).size == model.image.stat().st_size


async def test_an_agent_that_died_while_the_model_was_smaller(model: Model, tmp_path: Path) -> None:
    """The next one has the note, and the model as it was left: grown back, and nothing of the image is there."""
    copy, undo = tmp_path / "left", tmp_path / "left-undo"

    work = asyncio.create_task(model.capture())
    await until(lambda: model.progress.phase is Phase.CAPTURING or work.done())
    run("cp", "--sparse=always", model.path, copy)
    run("cp", "-r", model.undo, undo)
    note = model.notes[-1]
    await work
    assert note.reduction is not None
    assert size_of(copy) < model.size
    run("cp", "--sparse=always", copy, model.path)
    run("cp", "-r", f"{undo}/.", model.undo)
    machine = ByPath()
    assert not await settle(note, RealModels(machine), POLICY)
    model.check()
