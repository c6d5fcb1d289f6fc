"""A Debian that the package is installed into: a copy of a kept root, in memory, with nothing of it running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from tests.machine.disks import mounted
from tests.machine.tools import run

_CHANGES = ("var/lib/dpkg", "var/log", "var/cache", "root", "proc", "dev")
"""Where dpkg keeps its own, and the tests theirs."""


class System(Struct, frozen=True):
    root: Path

    def run(self, *command: str | Path) -> str:
        """Raises ToolFailed. The network is that of the run: there is none."""
        return run("chroot", self.root, *command)

    def install(self, *debs: Path) -> str:
        return self.run("dpkg", "--install", *map(self.bring, debs))

    def bring(self, file: Path) -> str:
        """Where it lies in there."""
        at = self.root / "root" / file.name
        at.write_bytes(file.read_bytes())
        return f"/root/{file.name}"

    def files(self) -> set[str]:
        """All that is there but what a package manager writes down."""
        found = set[str]()
        for folder, folders, names in os.walk(self.root):
            inside = Path(folder).relative_to(self.root)
            folders[:] = [name for name in folders if str(inside / name) not in _CHANGES]
            found |= {str(inside / name) for name in (*folders, *names)}
        return found


@contextmanager
def system(kept_root: Path, folder: Path) -> Iterator[System]:
    with ExitStack() as stack:
        memory = stack.enter_context(mounted("tmpfs", folder / "memory", "-t", "tmpfs"))
        for name in ("upper", "work"):
            (memory / name).mkdir()
        layers = f"lowerdir={kept_root},upperdir={memory}/upper,workdir={memory}/work"
        root = stack.enter_context(mounted("overlay", memory / "root", "-t", "overlay", "-o", layers))
        stack.enter_context(mounted("proc", root / "proc", "-t", "proc"))
        yield System(root)
