"""A repository in memory, which fails, lies or dies at any one of its calls."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Final

from ogagent.capture.store import Look
from ogagent.errors import RepositoryUnreachable

Files = dict[str, bytes]
CHANGES: Final = ("stream", "put", "move", "copy", "remove")


class Died(BaseException):
    """The agent's process has ended: nothing of it runs any more."""


class MemoryStore:
    """Implements ``ogagent.capture.store.Store``. At call number ``at`` (from 0) it does what ``how`` says, and from
    then on, when that is ``away``: ``away``, ``passing`` (once), ``dies`` before or ``dies-after`` what was asked for;
    ``ignored``: it answers as if it were done; ``elsewhere``: what is renamed gets another name. Whatever that is, the
    agent dies before call number ``dies_at``.
    """

    def __init__(self, files: Files, at: int = -1, how: str = "", dies_at: int = -1) -> None:
        self.files = files
        self.history: list[Files] = [dict(files)]
        """What was there after each change."""
        self.calls: list[str] = []
        self._at = at
        self._how = how
        self._dies_at = dies_at
        self._tags = itertools.count()
        self._tag: dict[str, int] = {name: next(self._tags) for name in files}

    def url(self, name: str) -> str:
        return f"memory:///{name}"

    async def look(self, name: str) -> Look | None:
        self._called("look", name)
        return Look(len(self.files[name]), str(self._tag[name])) if name in self.files else None

    async def read(self, name: str, most: int) -> bytes | None:
        self._called("read", name)
        return self.files[name][:most] if name in self.files else None

    async def room(self) -> int | None:
        self._called("room", "")
        return None

    async def stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        content = b"".join([chunk async for chunk in chunks])
        if not self._called("stream", name):
            self._set(name, content)
        self._done()

    async def put(self, name: str, content: bytes) -> None:
        if not self._called("put", name):
            self._set(name, content)
        self._done()

    async def move(self, name: str, to: str) -> None:
        if not self._called("move", f"{name} {to}"):
            self._expect(name)
            to = "elsewhere" if self._elsewhere else to
            self.files[to], self._tag[to] = self.files.pop(name), self._tag.pop(name)
        self._done()

    async def copy(self, name: str, to: str) -> None:
        if not self._called("copy", f"{name} {to}"):
            self._expect(name)
            self._set(to, self.files[name])
        self._done()

    async def remove(self, name: str) -> None:
        if not self._called("remove", name):
            self.files.pop(name, None)
        self._done()

    def _expect(self, name: str) -> None:
        if name not in self.files:
            raise RepositoryUnreachable(f"{name} is not there")

    @property
    def _elsewhere(self) -> bool:
        return self._how == "elsewhere" and len(self.calls) == self._at + 1

    def _set(self, name: str, content: bytes) -> None:
        self.files[name], self._tag[name] = content, next(self._tags)

    def _called(self, what: str, name: str) -> bool:
        """True when it shall not be done."""
        number = len(self.calls)
        if number == self._dies_at:
            raise Died
        self.calls.append(f"{what} {name}")
        now = number == self._at or (self._how == "away" and 0 <= self._at < number)
        if not now:
            return False
        if self._how == "dies":
            raise Died
        if self._how == "ignored":
            return what in CHANGES
        if self._how in ("away", "passing"):
            raise RepositoryUnreachable(f"{what} {name}: nobody answers")
        return False

    def _done(self) -> None:
        self.history.append(dict(self.files))
        if self._how == "dies-after" and len(self.calls) == self._at + 1:
            raise Died
