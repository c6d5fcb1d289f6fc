"""CrearImagen on a PC whose disk is a file: the image is there, ogCore is told of it, and nothing is left otherwise."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.capture.preview import CapturePreview
from ogagent.errors import DiskChanged, FilesystemNotSupported, ImageLocked, RepositoryUnreachable
from ogagent.functions.table import KINDS
from ogagent.imagefile.check import verify
from ogagent.jobs.journal import Journal
from ogagent.model.disk import Inventory
from ogagent.model.job import State
from ogagent.model.progress import NoBooks
from ogagent.settings import CacheSettings, CaptureSettings, RepositorySettings, Settings
from ogagent.settings_state import StateSettings
from simulator.ext4 import fill, make_filesystem
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.tree import linux_tree
from tests.as_restored import AS_RESTORED
from tests.functions.running import Agent, running
from tests.jobs.two_disks import until

MIB: Final = 1 << 20
SIZE: Final = 256 * MIB
MODEL: Final = Entry(number=1, start=MIB, size=96 * MIB, type=LINUX_FILESYSTEM, name="Linux")
OTHER: Final = Entry(number=2, start=100 * MIB, size=100 * MIB, type=LINUX_FILESYSTEM, name="Other")
UUID: Final = "01936caf-facb-72ad-9446-97e7dbf2b96a"
ASKED: Final = {"dsk": "1", "par": "1", "idi": "7", "nci": "base", "ipr": "127.0.0.1", "ids": "3"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def settings(folder: Path, images: Path, **capture: Any) -> Settings:
    return Settings(
        repository=RepositorySettings(url=f"file://{images}/{{nci}}.img"),
        cache=CacheSettings(required=False),
        capture=CaptureSettings(level=1, **capture),
        state=StateSettings(dir=str(folder / "state")),
        finish=AS_RESTORED,
    )


def model_disk(folder: Path) -> Path:
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(SIZE)
        write_table(file, SIZE, (MODEL, OTHER))
    make_filesystem(disk, 64 * MIB, uuid=UUID, label="", offset=MODEL.start)
    fill(disk, linux_tree(UUID), offset=MODEL.start)
    return disk


@pytest.fixture
async def agent(tmp_path: Path, images: Path) -> AsyncIterator[Agent]:
    model_disk(tmp_path)
    async with running(tmp_path, settings(tmp_path, images)) as agent:
        yield agent


def digest(disk: Path) -> str:
    return hashlib.sha256(disk.read_bytes()).hexdigest()


def names(images: Path) -> set[str]:
    return {path.name for path in images.iterdir()}


async def test_another_disk_than_the_request_names_is_not_captured(agent: Agent, images: Path) -> None:
    named = {**ASKED, "identity": "serial:other;size:1"}
    with pytest.raises(DiskChanged, match="the request means serial:other;size:1"):
        await (await agent.jobs.plan(agent.functions["CrearImagen"].order(named))).preview()
    _, report = await agent.run("CrearImagen", **named)
    assert report["der"].startswith("092-")
    assert names(images) == set()


WHOLE: Final = {"base.img", "base.img.full.sum", "base.img.index", "base.img.info", "base.img.sum"}


async def test_what_ogcore_is_told(agent: Agent, tmp_path: Path, images: Path) -> None:
    before = digest(tmp_path / "disk")
    job, report = await agent.run("CrearImagen", **ASKED)
    assert job.state is State.SUCCEEDED, job.error
    assert digest(tmp_path / "disk") == before
    assert (report["nfn"], report["res"], report["der"]) == ("RESPUESTA_CrearImagen", "1", "")
    assert {name: report[name] for name in ("idi", "dsk", "par", "cpt", "ipr", "ids")} == {
        "idi": "7",
        "dsk": "1",
        "par": "1",
        "cpt": "",
        "ipr": "127.0.0.1",
        "ids": "3",
    }
    found = verify(images / "base.img", None, 2, 1 << 27, lambda *_: None)
    assert found.index is not None
    assert report["image"] == {
        "size": (images / "base.img").stat().st_size,
        "used": found.index.used_blocks * found.index.block_size,
        "filesystem": "EXT4",
        "digest": found.index.digest.hex(),
    }
    assert report["cfg"][1]["soi"].startswith("Ubuntu")
    assert names(images) == WHOLE
    assert job.bytes.read == report["image"]["used"]
    assert job.bytes.packed == job.bytes.delivered == job.bytes.verified == job.bytes.image


async def test_the_image_is_deployed(agent: Agent, tmp_path: Path) -> None:
    """What was captured by index is restored by it."""
    await agent.run("CrearImagen", **ASKED)
    job, _ = await agent.run("RestaurarImagen", **{**ASKED, "par": "2", "method": "unicast-direct"})
    assert job.state is State.SUCCEEDED, job.error
    disk = (tmp_path / "disk").read_bytes()
    assert await tree(tmp_path / "disk", OTHER) == await tree(tmp_path / "disk", MODEL)
    assert disk[MODEL.start : MODEL.start + 4096] == disk[OTHER.start : OTHER.start + 4096]


async def tree(disk: Path, part: Entry) -> Any:
    from simulator.ext4 import read_tree

    return await asyncio.to_thread(read_tree, disk, offset=part.start)


async def test_the_image_before_stays(agent: Agent, images: Path) -> None:
    await agent.run("CrearImagen", **ASKED)
    first = (images / "base.img").read_bytes()
    job, _ = await agent.run("CrearImagen", **ASKED)
    assert job.state is State.SUCCEEDED
    assert (images / "base.img.ant").read_bytes() == first
    assert names(images) == WHOLE | {name.replace(".img", ".img.ant") for name in WHOLE}


async def test_it_need_not_stay(tmp_path: Path, images: Path) -> None:
    model_disk(tmp_path)
    async with running(tmp_path, settings(tmp_path, images, keep_previous=False)) as agent:
        await agent.run("CrearImagen", **ASKED)
        await agent.run("CrearImagen", **ASKED)
    assert names(images) == WHOLE


async def test_a_plan_changes_nothing(agent: Agent, tmp_path: Path, images: Path) -> None:
    before = digest(tmp_path / "disk")
    inventory = await agent.jobs.inventory()
    shown = await agent.functions["CrearImagen"].order(ASKED).plan(inventory).preview()
    assert isinstance(shown, CapturePreview)
    assert (shown.destination, shown.filesystem, shown.replaces) == (f"file://{images}/base.img", "ext4", None)
    assert shown.used is not None
    assert shown.used > 10 * MIB
    assert shown.room is not None
    assert names(images) == set()
    assert digest(tmp_path / "disk") == before


async def test_a_plan_says_what_stands_in_the_way(agent: Agent, images: Path) -> None:
    (images / "base.img.lock").write_text("somebody")
    inventory: Inventory = await agent.jobs.inventory()
    with pytest.raises(ImageLocked):
        await agent.functions["CrearImagen"].order(ASKED).plan(inventory).preview()
    with pytest.raises(FilesystemNotSupported):
        agent.functions["CrearImagen"].order({**ASKED, "par": "2"}).plan(inventory)
    await asyncio.to_thread(images.rename, images.with_name("elsewhere"))
    with pytest.raises(RepositoryUnreachable):
        await agent.functions["CrearImagen"].order({**ASKED, "nci": "a/b"}).plan(inventory).preview()


async def test_a_share_that_is_not_mounted_on_its_mount_point(tmp_path: Path, images: Path) -> None:
    """What were written there would lie in the memory of the live system, whose own ``tmp_path`` is here."""
    model_disk(tmp_path)
    live = partial(replace, volatile=str(tmp_path))
    async with running(tmp_path, settings(tmp_path, images), live) as agent:
        inventory: Inventory = await agent.jobs.inventory()
        with pytest.raises(RepositoryUnreachable, match="nothing is mounted there") as failure:
            await agent.functions["CrearImagen"].order(ASKED).plan(inventory).preview()
        assert "mount" in failure.value.hint
        _, report = await agent.run("CrearImagen", **ASKED)
        assert report["der"].startswith("023-")
    assert names(images) == set()


async def test_an_image_that_is_locked(agent: Agent, images: Path) -> None:
    (images / "base.img.lock").write_text("somebody")
    _, report = await agent.run("CrearImagen", **ASKED)
    assert report["der"].startswith("004-")
    assert "image" not in report
    assert names(images) == {"base.img.lock"}


async def test_what_a_dead_agent_has_left(tmp_path: Path, images: Path) -> None:
    """It died while it made the image: the next one removes what is there of it, and says that it was interrupted."""
    model_disk(tmp_path)
    journal = Journal.in_memory()
    wanted = settings(tmp_path, images)
    async with running(tmp_path, wanted, journal=journal) as agent:
        job = await agent.start("CrearImagen", **ASKED)
        await until(lambda: "base.img.lock" in names(images))
        left = await asyncio.to_thread(journal.unended)
        functions = agent.functions
        await agent.ended(job)
    assert [each.job.job_id for each in left] == [job.job_id]
    (images / "base.img.lock").write_text(f"{job.job_id}\n")
    (images / f".base.img.{job.job_id}.part").write_bytes(b"half of an image")
    assert not await functions["CrearImagen"].settled(left[0], NoBooks())
    assert names(images) == WHOLE


async def test_a_cancel_leaves_nothing(agent: Agent, tmp_path: Path, images: Path) -> None:
    before = digest(tmp_path / "disk")
    job = await agent.start("CrearImagen", **ASKED)
    await until(lambda: "base.img.lock" in names(images) or agent.jobs.job(job.job_id).final)
    done = await agent.jobs.cancel(job.job_id)
    assert done.state in (State.CANCELLED, State.SUCCEEDED)
    assert names(images) == (set() if done.state is State.CANCELLED else WHOLE)
    assert digest(tmp_path / "disk") == before


async def test_two_of_one_disk(agent: Agent) -> None:
    from ogagent.errors import DiskBusy

    job = await agent.start("CrearImagen", **ASKED)
    with pytest.raises(DiskBusy, match=job.job_id):
        await agent.start("CrearImagen", **{**ASKED, "nci": "other"})
    await agent.ended(job)


def test_a_kind_of_its_own() -> None:
    kind = KINDS["CrearImagen"]
    assert (kind.response, kind.disks, kind.lasts) == ("RESPUESTA_CrearImagen", True, True)
