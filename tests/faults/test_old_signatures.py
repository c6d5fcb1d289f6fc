"""What a partition held before: it is found whole, or nothing is, or the image alone; by wipefs, blkid, cryptsetup."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import AgentError, WriteFailed
from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import encode
from ogagent.image.pack import Packing, pack
from tests.faults.bench import CANCELLED, WELL, Matrix, no_thread_left
from tests.faults.images import MIB, image, plain
from tests.faults.test_interrupted import Cancelling, Step, Steps, chosen, survivors
from tests.restore.one_file import OneFile, onto
from tests.signatures import judge
from tests.signatures.filesystems import filesystems
from tests.signatures.made import MADE
from tests.signatures.partition import EDGES, Write, make, rest, store
from tests.signatures.plant import SIZE, Plant
from tests.signatures.volumes import volumes

FAMILY: Final = "old signature"
_ALL: Final = {plant.name: plant for plant in (*volumes(), *filesystems())}


def together(name: str, *parts: str) -> Plant:
    pieces = {offset: data for part in parts for offset, data in _ALL[part].pieces.items()}
    return Plant(name, "", pieces, newer=all(_ALL[part].newer for part in parts))


PLANTS: Final = [
    *(_ALL[f"Linux RAID {version}"] for version in ("0.90, little", "1.0", "1.1", "1.2")),
    *(_ALL[name] for name in ("Promise 3087", "Promise 63", "Intel", "DDF 257", "LSI", "DRBD 6b", "bcache")),
    *(_ALL[name] for name in ("LVM2 in sector 1", "JFS", "ReIsEr2Fs at 65536, 52", "UFS 19540119 at 256 KiB, little")),
    together("VMFS", "VMFS volume", "VMFS"),
    together("ZFS", *(f"ZFS label {number}" for number in range(4))),
    together("bcachefs", *(f"bcachefs at {offset}" for offset in (4096, 2 * MIB, SIZE - MIB))),
    together("RAID 1.0 over LUKS2", "Linux RAID 1.0", "LUKS2 at 0", "LUKS2 at 4194304"),
]
PROGRAMS: Final = ["LUKS1", *(f"LUKS2 {size} KiB" for size in (16, 1024, 2048, 4096)), "ext4", "XFS", "btrfs", "NTFS"]
NAMES: Final = [plant.name for plant in PLANTS] + [f"made {name}" for name in (*PROGRAMS, "F2FS", "NILFS2", "GPT")]


class Before:
    """A partition as it was; ``path`` is a copy of it, made anew by each ``fresh``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._original = folder / "original"
        self.path = folder / "partition"
        if name.startswith("made "):
            made = MADE[name.removeprefix("made ")]
            with self._original.open("xb") as file:
                file.truncate(SIZE)
            made.make(self._original)
            self.pages, self.newer = made.pages, False
        else:
            (plant,) = (plant for plant in PLANTS if plant.name == name)
            make(self._original, plant)
            self.pages, self.newer = plant.pages, plant.newer
        self.encrypted = "LUKS" in name and name.startswith("made ")
        self._rest = rest(self._original, self.pages)

    def fresh(self) -> Path:
        judge.run("cp", "--sparse=always", self._original, self.path)
        return self.path

    def is_whole(self) -> bool:
        """But for the pages by which it is known."""
        return rest(self.path, self.pages) == self._rest


@pytest.fixture(params=NAMES)
def before(request: pytest.FixtureRequest, matrix: Matrix) -> Iterator[Before]:
    with matrix.folder() as folder:
        for old in folder.iterdir():  # of whatever cell had it before
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        yield Before(folder, request.param)


@pytest.fixture
def source(before: Before, tmp_path: Path) -> Path:
    """Half of them come with an index."""
    path = tmp_path / "x.img"
    if NAMES.index(before.name) % 2:
        path.write_bytes(image("crc32", "zstd"))
    else:
        with path.open("xb") as out:
            index = pack(path.name, iter([plain("crc32")]), out.write, Packing(MIB, 1, 1, MAX_WINDOW)).index
        (tmp_path / "x.img.index").write_bytes(encode(index))
    return path


class Failing(Steps):
    """Once."""

    def __init__(self, at: int) -> None:
        super().__init__(OneFile())
        self._at = at

    def before(self, number: int) -> None:
        if number == self._at:
            self._at = -1
            raise WriteFailed("a cable came loose for a moment")


async def test_whatever_happens(matrix: Matrix, before: Before, source: Path) -> None:
    steps = Steps(OneFile())
    with matrix.cell(FAMILY, "a restore"):
        assert judge.found(before.fresh()) or before.newer
        await onto(before.path, source, machine=steps)
        assert judge.found(before.path) == judge.shown(before.path) == {"ext2"}
        matrix.endings[WELL] += 1
    restored = rest(before.path, set())
    _cut_off(matrix, before, steps.taken, restored)
    written = [number for number, step in enumerate(steps.taken) if step.kind != "read"]
    for at in chosen(len(written), 8, ends=3):
        if at < len(written):
            await _cancelled(matrix, before, source, written[at], restored)
            await _failed(matrix, before, source, written[at])


def _cut_off(matrix: Matrix, before: Before, steps: list[Step], restored: bytes) -> None:
    """From power: what was flushed is there, of the rest any part."""
    path, pending = before.fresh(), list[Step]()
    for number, step in enumerate(steps):
        if step.kind == "read":
            continue
        if step.kind == "flush":
            store(path, _writes(pending))
            pending = []
        else:
            pending.append(step)
        edge = any(step.offset in span for step in pending for span in EDGES)
        for left in ("all", "last", "odd") if edge else ("all",) if number % 8 == 0 or not pending else ():
            with matrix.cell(FAMILY, f"after step {number}, {left}"), _arrived(path, survivors(pending, left)):
                _check(before, restored)
                matrix.endings[CANCELLED] += 1


def _writes(steps: list[Step]) -> list[Write]:
    return [Write(step.offset, step.data) for step in steps if step.data is not None]


@contextmanager
def _arrived(path: Path, steps: list[Step]) -> Iterator[None]:
    """As long as the block lasts."""
    writes = _writes(steps)
    with path.open("rb") as file:
        held = [Write(write.offset, _at(file, write)) for write in writes]
    store(path, writes)
    yield
    store(path, held[::-1])


def _at(file: io.BufferedReader, write: Write) -> bytes:
    file.seek(write.offset)
    return file.read(len(write.data))


def _check(before: Before, restored: bytes) -> None:
    known = judge.found(before.path)
    if known == {"ext2"} and rest(before.path, set()) == restored:
        return
    assert not known or before.is_whole(), f"{known}, but it has lost something"
    assert "ext2" not in known


async def _cancelled(matrix: Matrix, before: Before, source: Path, number: int, restored: bytes) -> None:
    with matrix.cell(FAMILY, f"cancelled at step {number}"):
        steps = Cancelling(OneFile(), number)
        job = asyncio.ensure_future(onto(before.fresh(), source, machine=steps))
        steps.job = job  # type: ignore[assignment]
        await asyncio.wait([job])
        await no_thread_left()
        _check(before, restored)
        assert job.cancelled() or rest(before.path, set()) == restored
        assert not (before.encrypted and judge.opens(before.path)) or before.is_whole()
        matrix.endings[CANCELLED if job.cancelled() else WELL] += 1


async def _failed(matrix: Matrix, before: Before, source: Path, number: int) -> None:
    """What cannot be read of the edges before they are wiped is no failure."""
    with matrix.cell(FAMILY, f"failed at step {number}"):
        ending = WELL
        try:
            await onto(before.fresh(), source, machine=Failing(number))
        except AgentError as error:
            ending = error.number
        await no_thread_left()
        known = judge.found(before.path)
        assert known == {"ext2"} if ending == WELL else not known or before.is_whole(), known
        assert not (before.encrypted and judge.opens(before.path)) or before.is_whole()
        matrix.endings[ending] += 1
