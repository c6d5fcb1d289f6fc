"""A Linux started by the one that runs, without the firmware."""

from __future__ import annotations

import os
from typing import Final

from ogagent.errors import NoSystem
from ogagent.power.down import Down, Goal
from ogagent.power.grub import Kernel
from ogagent.power.look import Look
from ogagent.power.power import BootPlace
from ogagent.system import process
from ogagent.system.reading import read_tree
from ogagent.system.tree import Tree

_LOAD_S: Final = 120.0
_LARGEST: Final = 1 << 30


class Kexec:
    """Implements ``ogagent.power.power.Way``."""

    def __init__(self, place: BootPlace, kernel: Kernel, look: Look, down: Down) -> None:
        self._place = place
        self._kernel = kernel
        self._look = look
        self._down = down

    @property
    def would(self) -> str:
        return f"start {self._kernel.linux} of {self._place.partition.device} by kexec"

    async def prepare(self) -> None:
        """The kernel is loaded by paths that need none of the partition's own."""
        device = self._place.partition.device
        async with self._look(self._place.partition, self._place.filesystem) as root:
            opened = await read_tree(root, device, self._opened, _close)
            try:
                if len(opened) < 2 or any(os.fstat(fd).st_size > _LARGEST for fd in opened):
                    raise NoSystem(f"{self._place.partition.name}: its kernel cannot be loaded")
                linux, initrd = (f"/proc/{os.getpid()}/fd/{fd}" for fd in opened)
                line = f"--command-line={self._kernel.command_line}"
                await process.run(["kexec", "--load", linux, f"--initrd={initrd}", line], timeout_s=_LOAD_S)
            finally:
                _close(opened)

    async def go(self) -> None:
        await self._down.go(Goal.KEXEC)

    def _opened(self, tree: Tree) -> list[int]:
        found = [tree.open_file(path) for path in (self._kernel.linux, self._kernel.initrd)]
        return [fd for fd in found if fd is not None]


def _close(opened: list[int]) -> None:
    for fd in opened:
        os.close(fd)
