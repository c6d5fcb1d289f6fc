"""A partition that is a file, and what is asked of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from ogagent.restore.edges import Edges
from tests.signatures.plant import MIB, PAGE, SIZE, Plant

_FILLER: Final = b"\xaa" * PAGE
EDGES: Final = [
    range(MIB),
    *(range(page, page + PAGE) for page in (MIB, 2 * MIB, 4 * MIB, (SIZE - 3087 * 512) // PAGE * PAGE)),
    range((SIZE - MIB) // PAGE * PAGE, SIZE),
]


class Write(NamedTuple):
    offset: int
    data: bytes


class Partition:
    """Implements ``ogagent.disk.machine.Device``; what is written is only noted."""

    size = SIZE

    def __init__(self, path: Path) -> None:
        self._path = path
        self.batches: list[list[Write]] = [[]]
        """What was written between two flushes."""

    def write(self, offset: int, data: memoryview) -> None:
        self.batches[-1].append(Write(offset, bytes(data)))

    def zero(self, offset: int, length: int) -> None:
        raise AssertionError(f"{length} bytes zeroed at {offset}")

    def flush(self) -> None:
        self.batches.append([])

    def read_back(self, offset: int, into: memoryview) -> None:
        into[:] = read(self._path, offset, len(into))


def make(path: Path, plant: Plant) -> Path:
    """Nothing but the plant says what it holds, but all of its edges hold something."""
    with path.open("xb") as file:
        file.truncate(SIZE)
        for edge in EDGES:
            file.seek(edge.start)
            file.write((_FILLER * (len(edge) // PAGE + 1))[: len(edge)])
        for offset, data in plant.pieces.items():
            file.seek(offset)
            file.write(data)
    return path


def read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, offset)


def store(path: Path, writes: Sequence[Write]) -> None:
    with path.open("r+b") as file:
        for write in writes:
            os.pwrite(file.fileno(), write.data, write.offset)


def rest(path: Path, pages: set[int]) -> bytes:
    """What the edges hold, with zeros for these pages."""
    content = b""
    with path.open("rb") as file:
        for edge in EDGES:
            span = bytearray(os.pread(file.fileno(), len(edge), edge.start))
            for page in pages & {*range(edge.start, edge.stop, PAGE)}:
                stop = min(page + PAGE, edge.stop)
                span[page - edge.start : stop - edge.start] = bytes(stop - page)
            content += span
    return content


def wiping(path: Path) -> list[list[Write]]:
    """What ``begin`` would write, in batches that are flushed one by one."""
    partition = Partition(path)
    Edges(partition).wipe(read_back=False)
    return [batch for batch in partition.batches if batch]


def power_cuts(path: Path, batches: Sequence[Sequence[Write]]) -> Iterator[str]:
    """Leaves the partition as each power cut does that comes meanwhile: any part of the last batch may have arrived."""
    for number, batch in enumerate(batches):
        for name, part in _parts(batch).items():
            with _undone(path, part):
                store(path, part)
                yield f"batch {number}, {name}"
        store(path, batch)
        yield f"after batch {number}"


def _parts(batch: Sequence[Write]) -> dict[str, Sequence[Write]]:
    if len(batch) == 1:
        return {}
    return {
        "the first": batch[:1],
        "the last": batch[-1:],
        "odd": batch[1::2],
        "even": batch[::2],
        "all but one": batch[1:],
    }


@contextmanager
def _undone(path: Path, writes: Sequence[Write]) -> Iterator[None]:
    before = [Write(write.offset, read(path, write.offset, len(write.data))) for write in writes]
    yield
    store(path, before)
