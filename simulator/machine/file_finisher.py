"""PCs whose disks are files are made ready: an ext file system in a file is grown, and its files are changed, by
e2fsprogs alone, without a mount and without root.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct

from ogagent.disk import blkid
from ogagent.disk.codes import is_bios_boot, is_esp
from ogagent.disk.machine import Device
from ogagent.errors import FilesystemNotSupported, NotGrown, NotReady
from ogagent.finish.files import LARGEST, Files
from ogagent.finish.machine import Look, Root, View
from ogagent.finish.place import Volume
from ogagent.finish.step import Step
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.filesystem import EXTFS, by_blkid
from ogagent.model.plan import bound
from ogagent.model.units import MIB, format_bytes
from ogagent.system.tree import TooLarge
from simulator.errors import LabError
from simulator.ext4 import change, grow, read_tree, size_of
from simulator.machine.file_machine import FileMachine
from simulator.tree import Node

_MOST_LINKS: Final = 40
T = TypeVar("T")


class FileFinisher:
    """Implements ``ogagent.finish.machine.FinishMachine``. ``name`` is the one that the network gives this PC."""

    def __init__(self, machine: FileMachine, name: str = "") -> None:
        self._machine = machine
        self._name = name
        self.folder = machine.paths[0].parent

    uefi: Final = True

    async def given_name(self) -> str:
        return self._name

    async def volumes(self, inventory: Inventory) -> tuple[Volume, ...]:
        return await asyncio.to_thread(_volumes, inventory)

    @asynccontextmanager
    async def look(self, volume: Volume) -> AsyncIterator[Look]:
        yield _Look(TreeFiles(await asyncio.to_thread(_tree, volume)))

    async def in_view(self, work: Callable[[View], Coroutine[Any, Any, T]]) -> T:
        return await work(_View(self._machine))

    def grow(self, volume: Volume) -> Step | None:
        return _Grow(volume) if _is_ext(volume) else None

    def grow_mounted(self, volume: Volume, view: View, root: Root) -> Step | None:  # noqa: ARG002 - ext needs it not
        return None

    def grows_mounted(self, volume: Volume) -> bool:  # noqa: ARG002 - ext does not
        return False

    def open(self, volume: Volume) -> AbstractContextManager[Device]:
        return self._machine.open_target(volume.target)


class _Look(Struct, frozen=True):
    files: Files
    below: str = ""

    async def ask(self, reader: Callable[[Files], T]) -> T:
        return reader(self.files)


class _Root(Struct, frozen=True):
    files: Files
    below: str = ""
    path: Path = Path("/")


class _View:
    def __init__(self, machine: FileMachine) -> None:
        self._machine = machine

    @asynccontextmanager
    async def mounted(self, volume: Volume) -> AsyncIterator[Root]:
        before = await asyncio.to_thread(_tree, volume)
        files = TreeFiles(before)
        try:
            yield _Root(files)
        finally:
            with self._machine.open_target(volume.target):
                await asyncio.to_thread(_changed, volume, before, files.nodes)

    async def run(self, argv: Sequence[str], timeout_s: float) -> str:  # noqa: ARG002 - as View has it
        raise NotReady(f"{argv[0]}: nothing of this PC is mounted anywhere")

    async def hook(self, argv: Sequence[str], timeout_s: float, stdin: bytes, variables: Mapping[str, str]) -> None:  # noqa: ARG002
        raise NotReady(f"{argv[0]}: nothing of this PC is mounted anywhere")


class TreeFiles:
    """Implements ``ogagent.finish.files.Files`` over nodes in memory, by their absolute paths."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = dict(nodes)

    def read(self, path: str, limit: int = LARGEST) -> bytes | None:
        content = self._content(path)
        if content is not None and len(content) > limit:
            raise TooLarge(path, f"{limit} bytes")
        return content

    def link(self, path: str) -> str | None:
        node = self.nodes.get(self._named(path))
        return node.target if node is not None and node.kind == "symlink" else None

    def names(self, path: str) -> list[str]:
        folder = self._followed(path)
        within = folder.rstrip("/") + "/"
        return sorted(each[len(within) :] for each in self.nodes if each.startswith(within) and _is_in(each, within))

    def find(self, *names: str) -> str | None:
        path = ""
        for name in names:
            like = [each for each in self.names(path or "/") if each.casefold() == name.casefold()]
            if not like:
                return None
            path = f"{path}/{like[0]}".lstrip("/")
        return path

    def replace(self, path: str, content: bytes, mode: int = 0o644) -> None:
        place = self._followed(path)
        old = self.nodes.get(place)
        for above in _above(place):
            self.nodes.setdefault(above, Node(kind="directory"))
        kept = old if old is not None and old.kind == "file" else Node(kind="file", mode=mode)
        self.nodes[place] = Node(kind="file", mode=kept.mode, uid=kept.uid, gid=kept.gid, content=content)

    def end(self, path: str, length: int) -> bytes | None:
        content = self._content(path)
        return None if content is None else content[max(len(content) - length, 0) :]

    def append(self, path: str, content: bytes, aligned: int) -> None:
        old = self._content(path)
        if old is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.replace(path, old + bytes(-len(old) % aligned) + content)

    def make_link(self, path: str, to: str) -> None:
        self.nodes[self._named(path)] = Node(kind="symlink", mode=0o777, target=to)

    def remove(self, path: str) -> None:
        self.nodes.pop(self._named(path), None)

    def _content(self, path: str) -> bytes | None:
        node = self.nodes.get(self._followed(path))
        if node is not None and node.kind == "hard link":
            node = self.nodes.get(node.target)
        return node.content if node is not None and node.kind == "file" else None

    def _named(self, path: str) -> str:
        """What has this path itself."""
        folder, name = posixpath.split(posixpath.normpath("/" + path.lstrip("/")))
        return posixpath.join(self._followed(folder), name)

    def _followed(self, path: str) -> str:
        whole = posixpath.normpath("/" + path.lstrip("/"))
        for _ in range(_MOST_LINKS):
            parts = whole.strip("/").split("/")
            for count in range(1, len(parts) + 1):
                here = "/" + "/".join(parts[:count])
                node = self.nodes.get(here)
                if node is not None and node.kind == "symlink":
                    target = posixpath.join(posixpath.dirname(here), node.target)
                    whole = posixpath.normpath(posixpath.join(target, *parts[count:]))
                    break
            else:
                return whole
        return whole


class _Grow:
    """Implements ``ogagent.finish.step.Step``."""

    name: Final = "grow"
    warnings: Final[Sequence[str]] = ()

    def __init__(self, volume: Volume) -> None:
        self.would = f"the file system fills its {format_bytes(volume.target.size)}"
        self._disk = Path(volume.target.disk_device)
        self._target = volume.target

    async def needed(self) -> bool:
        return self._target.size - await asyncio.to_thread(size_of, self._disk, offset=self._target.start) >= MIB

    async def do(self) -> None:
        try:
            await asyncio.to_thread(grow, self._disk, self._target.size, offset=self._target.start)
        except LabError as error:
            raise NotGrown(error.message) from error

    async def proof(self) -> None:
        if await self.needed():
            raise NotGrown(f"{self._target.device} does not fill its partition")


def _volumes(inventory: Inventory) -> tuple[Volume, ...]:
    return tuple(_volume(disk, part) for disk in inventory.disks for part in disk.partitions)


def _volume(disk: Disk, part: Partition) -> Volume:
    with Path(disk.device).open("rb") as file:
        return Volume(
            target=bound(disk, part),
            filesystem=part.filesystem,
            uuid=blkid.filesystem_uuid(file.fileno(), part.start, part.size),
            label=part.label,
            part_label=part.name,
            esp=is_esp(part.code),
            bios_boot=is_bios_boot(part.code),
        )


def _is_ext(volume: Volume) -> bool:
    known = by_blkid(volume.filesystem)
    return known is not None and known.partclone == EXTFS


def _tree(volume: Volume) -> dict[str, Node]:
    if not _is_ext(volume):
        raise FilesystemNotSupported(
            f"{volume.target.device} holds {volume.filesystem or 'what nobody knows'}, and is only a file", field="par"
        )
    return read_tree(Path(volume.target.disk_device), offset=volume.target.start)


def _changed(volume: Volume, before: Mapping[str, Node], after: Mapping[str, Node]) -> None:
    try:
        change(Path(volume.target.disk_device), before, after, offset=volume.target.start)
    except LabError as error:
        raise NotReady(f"{volume.target.device} could not be changed: {error.message}") from error


def _is_in(path: str, within: str) -> bool:
    return bool(path[len(within) :]) and "/" not in path[len(within) :]


def _above(path: str) -> list[str]:
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1)]
