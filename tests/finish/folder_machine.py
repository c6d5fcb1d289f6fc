"""A machine whose partitions are folders, and which dies, or fails, at a chosen operation on their files."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from ogagent.disk.machine import Device
from ogagent.errors import NotReady
from ogagent.finish.files import LARGEST, Files
from ogagent.finish.machine import Look, Root, View
from ogagent.finish.place import Volume
from ogagent.finish.step import Step
from ogagent.finish.tree import MountedFiles
from ogagent.model.disk import Inventory

T = TypeVar("T")


class Killed(BaseException):
    """The agent is no more."""


class Fate:
    """``at`` is the operation, from 0, that comes to ``what``; None: none does. ``seen`` counts them."""

    def __init__(self, at: int | None = None, what: Callable[[], BaseException] = Killed) -> None:
        self.at = at
        self.what = what
        self.seen = 0

    def meet(self) -> None:
        self.seen += 1
        if self.at is not None and self.seen > self.at:
            raise self.what()


def no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


class FatedFiles:
    """Implements ``ogagent.finish.files.Files``."""

    def __init__(self, files: Files, fate: Fate) -> None:
        self._files = files
        self._fate = fate

    def read(self, path: str, limit: int = LARGEST) -> bytes | None:
        self._fate.meet()
        return self._files.read(path, limit)

    def link(self, path: str) -> str | None:
        self._fate.meet()
        return self._files.link(path)

    def names(self, path: str) -> list[str]:
        self._fate.meet()
        return self._files.names(path)

    def find(self, *names: str) -> str | None:
        self._fate.meet()
        return self._files.find(*names)

    def replace(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._fate.meet()
        self._files.replace(path, content, mode)
        self._fate.meet()

    def end(self, path: str, length: int) -> bytes | None:
        self._fate.meet()
        return self._files.end(path, length)

    def append(self, path: str, content: bytes, aligned: int) -> None:
        self._fate.meet()
        self._files.append(path, content, aligned)
        self._fate.meet()

    def make_link(self, path: str, to: str) -> None:
        self._fate.meet()
        self._files.make_link(path, to)
        self._fate.meet()

    def remove(self, path: str) -> None:
        self._fate.meet()
        self._files.remove(path)
        self._fate.meet()


class _Look(Struct, frozen=True):
    files: Files
    below: str = ""

    async def ask(self, reader: Callable[[Files], T]) -> T:
        return reader(self.files)


class _Root(Struct, frozen=True):
    files: Files
    below: str = ""
    path: Path = Path("/")


class FolderMachine:
    """Implements ``ogagent.finish.machine.FinishMachine`` and its ``View``. ``roots`` by the volumes' devices."""

    uefi = True

    def __init__(self, folder: Path, roots: Mapping[str, Path], fate: Fate) -> None:
        self.folder = folder
        self._roots = roots
        self._fate = fate

    async def given_name(self) -> str:
        return "pc1"

    async def volumes(self, _: Inventory) -> tuple[Volume, ...]:
        return ()

    @asynccontextmanager
    async def look(self, volume: Volume) -> AsyncIterator[Look]:
        async with self.mounted(volume) as root:
            yield _Look(root.files)

    async def in_view(self, work: Callable[[View], Coroutine[Any, Any, T]]) -> T:
        return await work(self)

    def grow(self, _: Volume) -> Step | None:
        return None

    def grow_mounted(self, volume: Volume, view: View, root: Root) -> Step | None:  # noqa: ARG002 - as View has it
        return None

    def grows_mounted(self, _: Volume) -> bool:
        return False

    def open(self, _: Volume) -> AbstractContextManager[Device]:
        raise NotReady("it is a folder")

    @asynccontextmanager
    async def mounted(self, volume: Volume) -> AsyncIterator[Root]:
        fd = os.open(self._roots[volume.target.device], os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield _Root(FatedFiles(MountedFiles(fd), self._fate))
        finally:
            os.close(fd)

    async def run(self, argv: Sequence[str], timeout_s: float) -> str:  # noqa: ARG002 - likewise
        raise NotReady(f"{argv[0]}: nothing is mounted")

    async def hook(self, argv: Sequence[str], timeout_s: float, stdin: bytes, variables: Mapping[str, str]) -> None:  # noqa: ARG002
        raise NotReady(f"{argv[0]}: nothing is mounted")
