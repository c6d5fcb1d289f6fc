"""Deployments that go through the CACHE: what they leave there, what they take from it, and whether they believe it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.model.job import Phase
from ogagent.model.progress import NoBooks
from ogagent.source.ranges import Ranges
from tests.faults.bench import WELL, Bench, Cell, Matrix
from tests.faults.classroom import MIDDLE, Classroom, indexed, streamed
from tests.faults.framed import INDEX, KEY, SIGNATURE, framed
from tests.faults.images import CONTENT, KINDS, MIB, SIZE, flipped, packed
from tests.restore.one_image import IMAGE

TOO_LARGE: Final = packed(IMAGE, "zstd")
GOES_ON: Final = packed(CONTENT + bytes(512), "gzip")
"""Behind what its file system says that it has."""


@pytest.fixture
def room(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path)


# --- what a deployment leaves behind ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_the_second_time_nothing_comes_from_the_repository(room: Classroom, kind: str) -> None:
    cell = replace(indexed(kind=kind), sidecars={**framed(kind).signed, ".full.sum": b"sum", ".info": b"info"})
    ending = await room.deploy(cell)
    assert room.kept.read_bytes() == cell.data
    assert room.files == ["x.img", "x.img.full.sum", "x.img.index", "x.img.index.sig", "x.img.info"]
    assert room.kept.with_name("x.img.index").read_bytes() == cell.sidecars[INDEX]
    assert ending.counts.received - len(cell.data) in (0, 1)  # a raw image has no header: a byte is asked for instead
    ending = await room.deploy(cell)
    assert (ending.counts.reused, ending.counts.received) == (0, 0)
    assert not room.image_was_asked_for
    assert not room.warned


async def test_an_image_without_an_index(room: Classroom) -> None:
    ending = await room.deploy(streamed())
    assert room.kept.read_bytes() == streamed().data
    assert room.files == ["x.img", "x.img.full.sum"]
    assert ending.counts.received == len(streamed().data)
    ending = await room.deploy(streamed())
    assert ending.counts.received == 0
    assert not room.image_was_asked_for
    assert room.bench.progress.bottleneck != "network"


async def test_without_a_sum_nothing_tells_which_image_it_is(room: Classroom) -> None:
    """It is not kept: it could never be used."""
    for _ in range(2):
        await room.deploy(streamed(with_sum=False))
        assert room.image_was_asked_for
        assert not list(room.cache.path.iterdir())


async def test_the_sum_of_another_image_tells_nothing(room: Classroom) -> None:
    """As when an image was copied with it, and replaced later: nobody would compare what the CACHE has with it."""
    of_another = {".full.sum": streamed().sidecars[".full.sum"] + b"  base.img\n"}
    await room.deploy(replace(streamed(), sidecars=of_another))
    assert (room.files, room.warned) == ([], ["033"])
    room.shelve(flipped(streamed().data, 3 * MIB), replace(streamed(), sidecars=of_another))
    ending = await room.deploy(replace(streamed(), sidecars=of_another))
    assert (ending.counts.received, room.warned) == (len(streamed().data), ["033"])


async def test_what_was_not_fetched_is_not_there(room: Classroom) -> None:
    """What several jobs have needed makes the image of the CACHE, once hardly anything is missing."""
    cell = indexed()
    prefix = framed("crc32").index.prefix.length
    await room.deploy(indexed("the same"))
    assert room.files == [room.partial.name, f"{room.partial.name}.map"]
    first = await room.deploy(indexed("half of it"))
    assert first.counts.reused > SIZE // 3
    assert room.files == [room.partial.name, f"{room.partial.name}.map"]
    second = await room.deploy(cell)
    assert room.files == ["x.img", "x.img.index"]
    assert room.kept.read_bytes() == cell.data
    assert first.counts.received + second.counts.received == len(cell.data) + prefix


async def test_what_is_missing_begins_in_the_middle_of_a_block(room: Classroom) -> None:
    """Where frames begin, no file system has a hole."""
    room.completing = 8 * MIB
    cell = indexed("half of it")
    ending = await room.deploy(cell)
    assert ending.counts.reused > SIZE // 3
    assert room.files == ["x.img", "x.img.index"]
    assert room.kept.read_bytes() == cell.data
    assert ending.counts.received == len(cell.data)


async def test_a_new_image_of_the_same_name(room: Classroom) -> None:
    await room.deploy(indexed(kind="raw"))
    old = room.kept.read_bytes()
    await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data != old
    await room.deploy(streamed())
    assert room.files == ["x.img", "x.img.full.sum"]


async def test_what_is_left_of_an_older_image_goes(room: Classroom) -> None:
    await room.deploy(indexed("half of it", "xxh64"))
    older = room.partial.name
    beside = room.kept.with_name(f"x.img.y.img.{older.split('.')[2]}.partial")
    beside.write_bytes(b"of another image, whose name begins alike")
    await room.deploy(indexed("half of it"))
    beside.unlink()
    assert older not in room.files
    assert room.files == [room.partial.name, f"{room.partial.name}.map"]


async def test_the_same_name_and_an_old_sum_prove_nothing(room: Classroom) -> None:
    """What lies in the CACHE is another image than what lies beside it says."""
    for cell in (streamed(), indexed()):
        await room.deploy(cell)
        room.kept.unlink()
        room.kept.write_bytes(framed("raw").data)
        await room.deploy(cell)
        assert room.image_was_asked_for
        await room.deploy(cell)
        assert room.kept.read_bytes() == cell.data
        assert not room.image_was_asked_for


async def test_unicast_direct_never_touches_it(room: Classroom) -> None:
    bench = room.prepare(indexed())
    bench.check(await bench.run(caching=None))
    assert not list(room.cache.path.iterdir())


class Looking(NoBooks):
    """A job's books."""

    def __init__(self, room: Classroom) -> None:
        self._room = room
        self.kept_at_commit: bool | None = None

    def committed(self) -> None:
        self.kept_at_commit = self._room.kept.exists()


@pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])
async def test_the_image_gets_its_name_when_the_disk_holds_it(room: Classroom, cell: Cell) -> None:
    bench = room.prepare(cell)
    bench.progress.books = books = Looking(room)
    bench.check(await bench.run(caching=room.caching))
    assert books.kept_at_commit is False
    assert room.kept.exists()
    assert bench.progress.timings.seconds[Phase.CACHING] > 0


# --- a CACHE that is damaged --------------------------------------------------------------------------------------


def spoiled(data: bytes) -> dict[str, Callable[[], bytes]]:
    frame = framed("crc32").frame(MIDDLE)
    last = framed("crc32").frame(SIZE - 1)
    return {
        "first byte": lambda: flipped(data, 0),
        "header": lambda: flipped(data, 60),
        "frame": lambda: flipped(data, frame.start + 50),
        "many": lambda: data[: frame.start] + bytes(len(frame) * 9) + data[frame.start + len(frame) * 9 :],
        "zeros": lambda: bytes(len(data)),
        "noise": lambda: os.urandom(len(data)),
        "last frame": lambda: flipped(data, last.start + 50),
        "another image": lambda: framed("raw").data[: len(data)].ljust(len(data)),
        "cut": lambda: data[: frame.start],
        "nothing": lambda: b"",
        "longer": lambda: data + b"more",
    }


@pytest.mark.parametrize("place", spoiled(b""))
async def test_a_damaged_image_in_the_cache(room: Classroom, place: str) -> None:
    """What is wrong comes from the repository, and the next deployment finds it put right."""
    cell = indexed()
    await room.deploy(cell)
    room.kept.write_bytes(spoiled(cell.data)[place]())
    await room.deploy(cell)
    assert room.image_was_asked_for
    assert not room.warned
    await room.deploy(cell)
    assert not room.image_was_asked_for
    assert room.kept.read_bytes() == cell.data


@pytest.mark.parametrize("place", spoiled(b""))
async def test_a_damaged_stream_in_the_cache(room: Classroom, place: str) -> None:
    """Known at its end, or before; the job begins again, with what the repository has."""
    cell = streamed()
    await room.deploy(cell)
    room.kept.write_bytes(spoiled(cell.data)[place]())
    ending = await room.deploy(cell)
    assert room.image_was_asked_for
    assert room.warned == ["031"]
    assert ending.counts.received == len(cell.data)
    await room.deploy(cell)
    assert not room.image_was_asked_for
    assert not room.warned
    assert room.kept.read_bytes() == cell.data


@pytest.mark.parametrize("image", [TOO_LARGE, GOES_ON], ids=["by its header", "by what comes last"])
async def test_an_image_that_does_not_fit_is_no_fault_of_the_cache(room: Classroom, image: bytes) -> None:
    cell = replace(streamed(image), ends=(30,))
    room.shelve(image, cell)
    await room.deploy(cell)
    assert not room.warned
    assert room.files == ["x.img", "x.img.full.sum"]


async def test_that_an_image_does_not_fit_is_not_believed_of_the_cache(room: Classroom) -> None:
    for image in (TOO_LARGE, GOES_ON):
        room.shelve(image, streamed())
        ending = await room.deploy(streamed())
        assert ending.counts.received == len(streamed().data)
        assert room.kept.read_bytes() == streamed().data


async def test_every_part_of_a_stream_is_proven(room: Classroom) -> None:
    for at in range(0, len(streamed().data), len(streamed().data) // 12):
        await room.deploy(streamed(), f"stream flipped at {at}")
        room.kept.write_bytes(flipped(streamed().data, at))
        await room.deploy(streamed(), f"stream flipped at {at}")
        assert room.image_was_asked_for


async def test_a_damaged_stream_and_no_repository(room: Classroom) -> None:
    """Nothing is left to deploy from. What the next job finds is not believed again."""
    await room.deploy(streamed())
    room.kept.write_bytes(flipped(streamed().data, 3 * MIB))
    await room.deploy(replace(streamed(), faults=("repository:status=404",), ends=(2,)))
    await room.deploy(streamed())
    assert room.kept.read_bytes() == streamed().data


async def test_a_damaged_repository_does_not_get_into_the_cache(room: Classroom) -> None:
    frame = framed("crc32").frame(MIDDLE)
    cell = replace(indexed(), data=flipped(indexed().data, frame.start + 50), ends=(33,))
    await room.deploy(cell)
    assert not room.kept.exists()
    await room.deploy(replace(streamed(), data=flipped(streamed().data, 9999), ends=(33,)))
    assert not room.kept.exists()
    assert not [name for name in room.files if ".stream." in name]
    await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data


async def test_a_power_cut_while_the_cache_is_written(room: Classroom) -> None:
    """Names, lengths and the map may survive without the bytes."""
    await room.deploy(indexed("half of it"))
    size = len(indexed().data)
    room.partial.write_bytes(bytes(size // 2) + os.urandom(size - size // 2))
    room.partial.with_name(f"{room.partial.name}.map").write_bytes(Ranges(0, size).encode())
    for _ in range(2):
        await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data
    assert not room.image_was_asked_for


@pytest.mark.parametrize("map_", [b"", b"garbage", Ranges(0, 1 << 40).encode(), Ranges(0, 9).encode()[:-1]])
async def test_a_map_that_is_none(room: Classroom, map_: bytes) -> None:
    await room.deploy(indexed("half of it"))
    room.partial.with_name(f"{room.partial.name}.map").write_bytes(map_)
    ending = await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data
    assert ending.counts.received == len(indexed().data)


async def test_a_forgery_in_the_cache(room: Classroom) -> None:
    """Its own index says that it is right; the one that is signed says otherwise."""
    true = replace(indexed(), sidecars=framed("crc32").signed, keys=(KEY.public_key(),))
    room.shelve(framed("raw").data, Cell(data=b"", restored=b"", sidecars=framed("raw").sidecars))
    await room.deploy(true)
    assert room.kept.read_bytes() == true.data
    assert room.kept.with_name(f"x.img{SIGNATURE}").read_bytes() == true.sidecars[SIGNATURE]


async def test_two_jobs_at_once(room: Classroom) -> None:
    """One of them writes the image of the CACHE."""
    cell = indexed()
    benches = []
    for name in ("one", "two"):
        (folder := room.folder / name).mkdir()
        benches.append(Bench(folder, cell))
    endings = await asyncio.gather(*(bench.run(caching=room.caching) for bench in benches))
    for bench, ending in zip(benches, endings, strict=True):
        bench.check(ending)
        assert ending.number == WELL
        assert not bench.progress.warnings
    assert room.kept.read_bytes() == cell.data
