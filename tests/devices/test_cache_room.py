"""Room in a CACHE that is a file system of its own: which images go when it is full, and what happens when none may."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, Protocol

import pytest

from ogagent.errors import CacheFull
from ogagent.source.image_shelf import ImageShelf, KeptFile, Run
from tests.devices.conftest import LoopDisk, Mount
from tests.faults.classroom import KEPT
from tests.faults.deep import deep

MIB: Final = 1 << 20
SIZE: Final = 96 * MIB
PARTS: Final = 64
TOOLS: Final = ("mke2fs", "mount", "fincore", "chattr")

TOOLS_ARE_THERE: Final = pytest.mark.skipif(
    not all(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for tool in TOOLS),
    reason=f"not installed: one of {', '.join(TOOLS)}",
)

pytestmark = TOOLS_ARE_THERE


def images(root: Path) -> list[str]:
    return sorted(str(path.relative_to((root / KEPT).parent)) for path in (root / KEPT).parent.glob("**/*.img"))


def put(root: Path, name: str, size: int, used: int = 0) -> None:
    """An image, last used at a time."""
    shelf = ImageShelf(root, name, evict=False)
    kept = shelf.partial("0" * 16, size, PARTS)
    assert kept is not None
    shelf.write(kept, [(0, os.urandom(size))])
    shelf.publish(kept, {".index": b"index", ".full.sum": b"sum"})
    shelf.close()
    os.utime((root / KEPT).parent / f"{name}.img", (used, used))


class Begin(Protocol):
    def __call__(self, name: str, size: int, *, evict: bool = True) -> tuple[ImageShelf, KeptFile]:
        """The place of an image, and what is to become it."""


@pytest.fixture
def begin(root: Path) -> Iterator[Begin]:
    """Closes all before the file system is unmounted."""
    with ExitStack() as shelves:

        def make(name: str, size: int, *, evict: bool = True) -> tuple[ImageShelf, KeptFile]:
            shelf = ImageShelf(root, name, evict=evict)
            shelves.callback(shelf.close)
            kept = shelf.partial("1" * 16, size, PARTS)
            assert kept is not None
            return shelf, kept

        yield make


def test_the_images_that_were_used_the_longest_ago_make_room(root: Path, begin: Begin) -> None:
    """When it is needed, and no sooner."""
    for name, used in (("new", 300), ("room/old", 100), ("middle", 200)):
        put(root, name, 18 * MIB, used)
    shelf, kept = begin("next", 44 * MIB)
    shelf.expect(44 * MIB)
    assert images(root) == ["middle.img", "new.img", "room/old.img"]
    shelf.write(kept, [(0, bytes(10 * MIB))])
    assert images(root) == ["middle.img", "new.img", "room/old.img"]
    shelf.write(kept, [(10 * MIB, bytes(16 * MIB))])
    assert images(root) == ["middle.img", "new.img"]
    assert not list((root / KEPT).parent.glob("room/*"))
    shelf.write(kept, [(26 * MIB, bytes(18 * MIB))])
    assert images(root) == ["new.img"]


def test_an_image_is_used_when_it_becomes_whole(root: Path, begin: Begin) -> None:
    """Its first part may have come long ago."""
    put(root, "used since", 24 * MIB, 200)
    shelf, kept = begin("begun", 24 * MIB)
    shelf.write(kept, [(0, bytes(12 * MIB))])
    shelf.close()
    (begun,) = (root / KEPT).parent.glob("begun.img.*.partial")
    os.utime(begun, (100, 100))
    shelf, kept = begin("begun", 24 * MIB)
    shelf.write(kept, [(12 * MIB, bytes(12 * MIB))])
    shelf.publish(kept, {})
    shelf.close()
    shelf, kept = begin("next", 40 * MIB)
    shelf.write(kept, [(0, bytes(40 * MIB))])
    assert images(root) == ["begun.img"]


def test_an_image_that_can_never_fit_removes_none(root: Path, begin: Begin) -> None:
    for name in ("one", "two"):
        put(root, name, 24 * MIB)
    shelf, _ = begin("next", 1 << 41)
    with pytest.raises(CacheFull) as failure:
        shelf.expect(1 << 41)
    assert failure.value.number == 16
    shelf.close()
    assert sorted(path.name for path in (root / KEPT).parent.iterdir()) == [
        f"{name}.img{suffix}" for name in ("one", "two") for suffix in ("", ".full.sum", ".index")
    ]


def test_an_image_in_use_is_never_removed(root: Path, begin: Begin) -> None:
    for name, used in (("old", 100), ("new", 200)):
        put(root, name, 24 * MIB, used)
    with closing(ImageShelf(root, "old", evict=False)) as reader:
        assert reader.whole(".index", b"index") is not None
        writer, half = begin("half", MIB)
        shelf, kept = begin("next", 80 * MIB)
        with pytest.raises(CacheFull):
            shelf.expect(80 * MIB)
        with pytest.raises(CacheFull):
            shelf.write(kept, [(0, bytes(60 * MIB))])
        assert images(root) == ["old.img"]
    writer.write(half, [(0, bytes(MIB))])
    writer.publish(half, {})


def test_the_older_version_of_an_image_is_the_first_to_go(root: Path, begin: Begin) -> None:
    """Only what is really written counts: most of an image may be on the partition already."""
    put(root, "windows", 30 * MIB, 100)
    put(root, "linux", 26 * MIB, 200)
    shelf, kept = begin("linux", 40 * MIB)
    shelf.expect(40 * MIB)
    shelf.write(kept, [(0, bytes(2 * MIB))])
    assert images(root) == ["linux.img", "windows.img"]
    shelf.write(kept, [(2 * MIB, bytes(20 * MIB))])
    assert images(root) == ["windows.img"]
    shelf.write(kept, [(22 * MIB, bytes(18 * MIB))])
    assert images(root) == []


def test_for_an_image_of_unknown_length_none_goes_that_is_of_use(root: Path, begin: Begin) -> None:
    """It may never fit; only what it replaces, and what a killed job has left, goes."""
    put(root, "linux", 26 * MIB, 100)
    put(root, "windows", 30 * MIB, 200)
    shelf, kept = begin("linux", 1 << 41)
    shelf.expect(None)
    shelf.write(kept, [(0, bytes(24 * MIB))])
    assert images(root) == ["windows.img"]
    with pytest.raises(CacheFull):
        shelf.write(kept, [(24 * MIB, bytes(30 * MIB))])
    assert images(root) == ["windows.img"]


def test_what_a_killed_job_has_left_goes_before_any_image(root: Path, begin: Begin) -> None:
    """Half a stream is of no use. It goes also where no image may."""
    put(root, "old", 30 * MIB, 100)
    left = (root / KEPT).with_name("stream.img.0123456789abcdef.partial")
    left.write_bytes(bytes(30 * MIB))
    shelf, kept = begin("next", 30 * MIB, evict=False)
    shelf.expect(30 * MIB)
    shelf.write(kept, [(0, bytes(30 * MIB))])
    assert images(root) == ["old.img"]
    assert not left.exists()


def test_an_image_goes_with_whatever_lies_where_it_was_lent(root: Path, begin: Begin) -> None:
    put(root, "old", 40 * MIB)
    shelf, kept = begin("next", 60 * MIB)
    with deep((root / KEPT).with_name("old.img.lent")):
        shelf.write(kept, [(0, bytes(60 * MIB))])
        assert not [path.name for path in (root / KEPT).parent.iterdir() if path.name.startswith("old")]


def test_without_evict_no_other_image_is_removed(root: Path, begin: Begin) -> None:
    put(root, "old", 40 * MIB)
    shelf, kept = begin("next", 60 * MIB, evict=False)
    with pytest.raises(CacheFull):
        shelf.expect(60 * MIB)
    with pytest.raises(CacheFull):
        shelf.write(kept, [(0, bytes(60 * MIB))])
    assert images(root) == ["old.img"]


def test_another_one_goes_instead_of_an_image_that_stays(root: Path, tool: Callable[..., str], begin: Begin) -> None:
    """And when no other may, it is said what has stayed."""
    put(root, "stays", 24 * MIB, 100)
    put(root, "old", 24 * MIB, 200)
    stays = (root / KEPT).with_name("stays.img")
    tool("chattr", "+i", stays)
    shelf, kept = begin("next", 60 * MIB)
    shelf.write(kept, [(0, bytes(40 * MIB))])
    assert images(root) == ["stays.img"]
    with pytest.raises(PermissionError, match=r"stays\.img"):
        shelf.write(kept, [(40 * MIB, bytes(20 * MIB))])
    tool("chattr", "-i", stays)
    shelf.write(kept, [(40 * MIB, bytes(20 * MIB))])
    assert images(root) == []


class Refusing(KeptFile):
    """As with a quota, of which the file system says nothing when it is asked for its room."""

    refused = False

    def write(self, run: Run) -> None:
        if not self.refused:
            self.refused = True
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        super().write(run)


@pytest.mark.parametrize("evict", [True, False])
def test_a_file_system_that_is_full_before_it_says_so(root: Path, begin: Begin, evict: bool) -> None:
    """It is tried once more, with more room."""
    put(root, "old", 10 * MIB, 100)
    put(root, "new", 10 * MIB, 200)
    shelf, kept = begin("next", 4 * MIB, evict=evict)
    refusing = Refusing(os.open((root / KEPT).with_name(kept.name), os.O_RDWR), kept.name)
    if evict:
        shelf.write(refusing, [(0, bytes(4 * MIB))])
    else:
        with pytest.raises(CacheFull):
            shelf.write(refusing, [(0, bytes(4 * MIB))])
    assert images(root) == (["new.img"] if evict else ["new.img", "old.img"])
    refusing.close()


def test_little_of_it_lies_in_memory(loop_disk: LoopDisk, mount: Mount, tool: Callable[..., str]) -> None:
    """So that nobody waits for minutes when it is flushed or unmounted, and no other program loses its own."""
    disk = loop_disk(402 * MIB, "label: gpt\nstart=1MiB, size=400MiB, type=linux\n")
    tool("mke2fs", "-q", "-t", "ext4", f"{disk}p1")
    root = mount(f"{disk}p1", "large")
    with closing(ImageShelf(root, "x", evict=True)) as shelf:
        kept = shelf.partial("1" * 16, 256 * MIB, PARTS)
        assert kept is not None
        for at in range(0, 256 * MIB, 16 * MIB):
            shelf.write(kept, [(at, os.urandom(16 * MIB))])
            cached = tool("fincore", "--bytes", "--noheadings", "--output", "RES", (root / KEPT).with_name(kept.name))
            assert int(cached) <= 64 * MIB
