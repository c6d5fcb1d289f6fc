"""The step whose whole work is in files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ogagent.errors import NotReady
from ogagent.finish.files import Edit, Files, Tail, undone
from ogagent.system.tree import TooLarge


class Edits:
    """Implements ``ogagent.finish.step.Step``. Its ``edits`` are known, all of them, before the first is made."""

    warnings: Final[Sequence[str]] = ()

    def __init__(self, files: Files, name: str, would: str, edits: Sequence[Edit | Tail]) -> None:
        self.name = name
        self.would = would
        self.edits = edits
        self._files = files

    async def needed(self) -> bool:
        return bool(self._undone())

    async def do(self) -> None:
        for edit in self._undone():
            try:
                edit.make(self._files)
            except OSError as error:
                raise NotReady(f"/{edit.path} cannot be changed: {error.strerror}") from error

    async def proof(self) -> None:
        if left := self._undone():
            raise NotReady(f"/{left[0].path} does not hold what was written into it")

    def _undone(self) -> list[Edit | Tail]:
        try:
            return undone(self.edits, self._files)
        except OSError as error:
            raise NotReady(f"the system's files cannot be read: {error.strerror}") from error
        except TooLarge as error:
            raise NotReady(f"this is no system as others are: {error}") from error
