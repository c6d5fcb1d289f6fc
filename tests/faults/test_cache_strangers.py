"""What is no file, in the CACHE, where files should be: it leads nowhere, hangs nobody, and is replaced."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from blake3 import blake3

from ogagent.source.image_shelf import ImageShelf
from tests.faults.bench import Cell, Matrix
from tests.faults.classroom import BEGINNINGS, Beginning, Classroom, indexed, prepared, streamed
from tests.faults.deep import deep

SOME: Final = [each for each in BEGINNINGS if not each.damaged][1:4]
BOTH: Final = pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])


@pytest.fixture
def room(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path)


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def link_to_nothing(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("new"))


def fifo(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def device(path: Path, victim: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("device nodes need root")
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(10, 130))  # a watchdog: whoever opens it must go on feeding it


def directory(path: Path, victim: Path) -> None:
    (path / "in it").mkdir(parents=True)


NO_FILES: Final = (link, link_to_nothing, fifo, device, directory)
BESIDE: Final = (".index", ".index.sig", ".full.sum", ".sum", ".info", ".torrent")


def partial_name(cell: Cell) -> str:
    proof = next(content for suffix, content in cell.sidecars.items() if suffix in (".index", ".full.sum"))
    return f"x.img.{blake3(proof).hexdigest()[:16]}.partial"


def names(beginning: Beginning) -> list[str]:
    """All that the agent may look for, or make, in the directory of images."""
    partial = partial_name(beginning.cell)
    files = ["x.img", partial, f"{partial}.map", *(f"x.img{suffix}" for suffix in BESIDE)]
    return files + [f"{name}.new" for name in files]


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize("beginning", SOME, ids=lambda beginning: beginning.name)
async def test_what_is_no_file(
    matrix: Matrix, tmp_path: Path, beginning: Beginning, make: Callable[[Path, Path], None]
) -> None:
    """It leads nowhere, hangs nobody, and is replaced; a directory is left alone, and told of when it is in the way."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    async with prepared(matrix, beginning) as begin:
        for name in names(beginning):
            room = begin()
            room.kept.parent.mkdir(parents=True, exist_ok=True)
            path = room.kept.with_name(name)
            path.unlink(missing_ok=True)
            make(path, victim)
            what = f"{beginning.name}: {name} is a {make.__name__}"
            await asyncio.wait_for(room.deploy(beginning.cell, what), 300)
            assert set(room.warned) <= ({"031"} if make is directory else set()), name
            assert victim.read_bytes() == b"untouched"
            assert not victim.with_name("new").exists()
            if make is not directory:
                await room.deploy(beginning.cell, what)
                assert room.kept.read_bytes() == beginning.cell.data


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("make", NO_FILES)
async def test_a_directory_that_is_none(
    room: Classroom, cell: Cell, depth: int, make: Callable[[Path, Path], None]
) -> None:
    victim = room.folder / "victim"
    victim.mkdir()
    path = room.cache.path.joinpath(*("opt", "opengnsys", "images")[:depth])
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path, victim)
    await asyncio.wait_for(room.deploy(cell), 300)
    assert room.warned == ([] if make is directory else ["031"])
    assert not list(victim.iterdir())
    assert not victim.with_name("new").exists()


@BOTH
@pytest.mark.parametrize("older", [False, True])
async def test_a_directory_that_is_deep(room: Classroom, cell: Cell, older: bool) -> None:
    """Where a part of the image was lent to somebody, or of another version of it."""
    partial = room.kept.with_name(f"x.img.{'0' * 16}.partial" if older else partial_name(cell))
    with deep(partial.with_name(f"{partial.name}.lent")):
        partial.touch()
        await room.deploy(cell)
        assert room.warned == []
        assert room.kept.read_bytes() == cell.data
        assert not [name for name in room.files if "partial" in name]


async def test_an_image_in_a_directory_of_its_own(room: Classroom) -> None:
    """``nci`` may name one; it leads nowhere else either."""
    victim = room.folder / "victim"
    victim.mkdir()
    shelf = ImageShelf(room.cache.path, "floor/x", evict=True)
    kept = shelf.partial("0" * 16, 100, 3)
    assert kept is not None
    shelf.write(kept, [(0, bytes(100))])
    shelf.publish(kept, {})
    shelf.close()
    assert (room.kept.parent / "floor/x.img").read_bytes() == bytes(100)
    (room.kept.parent / "other").symlink_to(victim)
    other = ImageShelf(room.cache.path, "other/x", evict=True)
    with pytest.raises(OSError, match="other"):
        other.partial("0" * 16, 100, 3)
    other.close()
    assert not list(victim.iterdir())
