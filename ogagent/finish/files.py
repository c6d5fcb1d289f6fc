"""The files of a system that does not run, which is made ready to: what is asked of them, and what is changed.

Paths are relative to the root of that system, and links in it mean what they would mean to it; nothing leads out of it.
``ogagent.finish.tree`` is a file system that is mounted; a twin, whose partition lies in a file, implements the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from msgspec import Struct

from ogagent.system.tree import TooLarge

LARGEST: Final = 1 << 20
"""Bytes of a file of settings: what is longer is none."""


class Files(Protocol):
    """Blocking. Everything raises OSError; what leads nowhere, or to something else than was asked for, is None."""

    def read(self, path: str, limit: int = LARGEST) -> bytes | None:
        """All of a regular file. Raises TooLarge."""

    def link(self, path: str) -> str | None:
        """What the symbolic link names that has this path itself."""

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted; empty when there is none."""

    def find(self, *names: str) -> str | None:
        """The path with these names whatever their case: Windows knows no other, its file systems do here."""

    def replace(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Whoever looks finds the old file or all of the new one, also after a power cut. Owner, mode and extended
        attributes stay as they are; a new one is root's, with ``mode``. Directories that are missing are made.
        """

    def end(self, path: str, length: int) -> bytes | None:
        """Of a regular file: its last bytes, all where it is shorter."""

    def append(self, path: str, content: bytes, aligned: int) -> None:
        """Behind what the file holds, after zeros up to a multiple of ``aligned`` bytes; otherwise as ``replace``."""

    def make_link(self, path: str, to: str) -> None:
        """In place of whatever file or link has the path."""

    def remove(self, path: str) -> None:
        """A file or a link; also when it is not there."""


class Edit(Struct, frozen=True, kw_only=True):
    """What shall be at ``path``: ``content``, or a link ``to`` somewhere, or with neither nothing at all.

    ``mode`` is that of a file that is new.
    """

    path: str
    content: bytes | None = None
    to: str = ""
    mode: int = 0o644

    def holds(self, files: Files) -> bool:
        if self.to:
            return files.link(self.path) == self.to
        try:
            found = files.read(self.path, len(self.content or b""))
        except TooLarge:
            return False
        return found == self.content and (found is not None or files.link(self.path) is None)

    def make(self, files: Files) -> None:
        if self.content is not None:
            files.replace(self.path, self.content, self.mode)
        elif self.to:
            files.make_link(self.path, self.to)
        else:
            files.remove(self.path)


class Tail(Struct, frozen=True, kw_only=True):
    """What shall be at the end of the file at ``path``, which may be long; it begins at a multiple of ``aligned``."""

    path: str
    content: bytes
    aligned: int

    def holds(self, files: Files) -> bool:
        return files.end(self.path, len(self.content)) == self.content

    def make(self, files: Files) -> None:
        files.append(self.path, self.content, self.aligned)


def undone(edits: Iterable[Edit | Tail], files: Files) -> list[Edit | Tail]:
    return [edit for edit in edits if not edit.holds(files)]
