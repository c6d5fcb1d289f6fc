"""What making a partition ready needs of a machine.

``ogagent.finish.real`` is the machine the agent runs on; a twin whose disks are files implements the same protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ogagent.disk.machine import Device
from ogagent.finish.files import Files
from ogagent.finish.place import Volume
from ogagent.finish.step import Step
from ogagent.model.disk import Inventory

T = TypeVar("T")


class Tree(Protocol):
    @property
    def files(self) -> Files: ...

    @property
    def below(self) -> str:
        """Where the root of the system is, from the top of its file system: empty, or ``/@`` perhaps, of btrfs."""


class Look(Tree, Protocol):
    """A file system that nobody changes."""

    async def ask(self, reader: Callable[[Files], T]) -> T:
        """What ``reader`` finds in the files, in a thread. One that the disk does not let go is left behind, after a
        cancel, too, with files of its own. Raises PartitionNotReadable, and what ``reader`` raises.
        """


class Root(Tree, Protocol):
    """A file system that is mounted for nobody else."""

    @property
    def path(self) -> Path:
        """Where programs find the root of the system that are started with ``View.run``."""


class View(Protocol):
    def mounted(self, volume: Volume) -> AbstractAsyncContextManager[Root]:
        """To be written to, as long as the block lasts; all is on the medium when it has ended. Raises NotReady,
        DiskChanged, FilesystemNotSupported.
        """

    async def run(self, argv: Sequence[str], timeout_s: float) -> str:
        """A program that finds what is mounted. The end of what it printed. Raises ToolMissing, ToolFailed."""

    async def hook(self, argv: Sequence[str], timeout_s: float, stdin: bytes, variables: Mapping[str, str]) -> None:
        """One of the administrator's. Raises as ``run`` does."""


class FinishMachine(Protocol):
    @property
    def folder(self) -> Path:
        """A directory of the agent's own, with room for copies."""

    @property
    def uefi(self) -> bool:
        """Whether the machine has booted by it."""

    async def given_name(self) -> str:
        """By which the network knows the machine; empty when by none."""

    async def volumes(self, inventory: Inventory) -> tuple[Volume, ...]:
        """What the partitions hold. One that cannot be read holds nothing."""

    def look(self, volume: Volume) -> AbstractAsyncContextManager[Look]:
        """Without changing a byte of it. Raises FilesystemNotSupported, DeviceBusy, PartitionNotReadable."""

    async def in_view(self, work: Callable[[View], Coroutine[Any, Any, T]]) -> T:
        """What ``work`` returns or raises. It may block. A cancel is passed on to it, and its end is waited for."""

    def grow(self, volume: Volume) -> Step | None:
        """Before it is mounted; None for what is grown mounted, or not at all."""

    def grow_mounted(self, volume: Volume, view: View, root: Root) -> Step | None: ...

    def grows_mounted(self, volume: Volume) -> bool:
        """Whether it has to be mounted to fill its partition. Blocking. Raises OSError, NotGrown."""

    def open(self, volume: Volume) -> AbstractContextManager[Device]:
        """The bytes of what is not mounted. Blocking. Raises DiskChanged, DeviceBusy."""
