"""Where an image is kept, as a directory."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ogagent.crowd.arrivals import Givers, Told
from ogagent.source.ranges import Ranges


class Kept:
    """Implements ``ogagent.crowd.arrivals.Storage`` for an image with this ``data``. ``others``: what has come. What
    is lent has another name for the file: whoever is ended early removes his.
    """

    def __init__(self, folder: Path, data: bytes = random.Random(5).randbytes(9_876_543)) -> None:
        folder.mkdir()
        self.folder, self.file, self.data = folder, folder.with_name(f"{folder.name}.img"), data
        self.there = Ranges()
        self.told: Told | None = None
        self.others: list[tuple[int, int]] = []
        with self.file.open("wb") as file:
            file.truncate(len(data))

    @property
    def come(self) -> list[tuple[int, int]]:
        """In as few stretches as it can be told."""
        found = Ranges()
        for stretch in self.others:
            found.add(*stretch)
        return list(found)

    def put(self, start: int, stop: int) -> None:
        """It is there already."""
        with self.file.open("r+b") as file:
            file.seek(start)
            file.write(self.data[start:stop])
        self.there.add(start, stop)

    def fill(self, start: int, stop: int) -> None:
        """From elsewhere, while it is lent."""
        with self.file.open("r+b") as file:
            file.seek(start)
            file.write(self.data[start:stop])
        assert self.told is not None
        self.told(start, stop)

    @asynccontextmanager
    async def lent(
        self, name: str, uid: int, gid: int, *, afresh: bool = False, told: Told | None = None
    ) -> AsyncIterator[int]:
        (self.folder / name).hardlink_to(self.file)
        for each in (self.folder, self.file):
            os.chown(each, uid, gid)
        if afresh:
            os.truncate(self.file, 0)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self.told = told
        try:
            yield folder
        finally:
            os.close(folder)

    def came(self, start: int, stop: int, givers: Givers) -> None:  # noqa: ARG002 - as it is called
        self.others.append((start, stop))

    def wrong(self, start: int, stop: int) -> bool:
        return any(start < end and begin < stop for begin, end in self.others)
