"""The shelf for copies of reports: ``opt/opengnsys/ogagent/reports`` in the CACHE, which outlives the power."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from ogagent.disk.machine import CacheStore, Machine
from ogagent.errors import AgentError, CacheError
from ogagent.model.plan import cache_place
from ogagent.system import beneath

_PLACE: Final = ("opt", "opengnsys", "ogagent", "reports")


class CacheShelf:
    """Implements ``ogagent.disk.machine.ReportShelf``. Without a CACHE nothing is found.

    It is mounted for each of these, and no longer: whoever partitions the disk must find it free. What is to lie on it
    is remembered, a few files: a CACHE that was made anew, or has come only now, gets them all with the next one.
    """

    def __init__(self, machine: Machine, store: CacheStore) -> None:
        self._machine = machine
        self._store = store
        self._kept = dict[str, bytes]()

    async def put(self, name: str, content: bytes) -> None:
        self._kept[name] = content
        async with self._mounted() as root:
            if root is not None:
                async with self._store.writable():
                    await self._store.thread.run(_put, root, name, dict(self._kept))

    async def list(self, most: int, largest: int) -> dict[str, bytes]:
        async with self._mounted() as root:
            found = {} if root is None else await self._store.thread.run(_found, root, most, largest)
        self._kept = found | self._kept
        return found

    async def remove(self, name: str) -> None:
        self._kept.pop(name, None)
        async with self._mounted() as root:
            if root is not None and await self._store.thread.run(_is_there, root, name):
                async with self._store.writable():
                    await self._store.thread.run(_remove, root, name)

    @asynccontextmanager
    async def _mounted(self) -> AsyncIterator[Path | None]:
        try:
            place = cache_place(await self._machine.inventory(thorough=False))
        except AgentError as error:
            raise CacheError(f"nobody knows where the CACHE is: {error.message}", hint=error.hint) from error
        if place is None:
            yield None
            return
        async with self._store.mounted(place) as root:
            yield root


def _put(root: Path, name: str, kept: dict[str, bytes]) -> None:
    """The one of that name; the others where they are missing."""
    with beneath.directory(root, *_PLACE, make=True) as within:
        for each, content in kept.items():
            if each == name or not beneath.is_file(within, each):
                beneath.replace_file(within, each, content, lasting=True)


def _found(root: Path, most: int, largest: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with beneath.directory(root, *_PLACE) as within:
            for name in islice(beneath.files(within), most):
                content = beneath.read_file(within, name, largest + 1)
                if content is not None and len(content) <= largest:
                    found[name] = content
    except FileNotFoundError:
        return {}
    return found


def _is_there(root: Path, name: str) -> bool:
    try:
        with beneath.directory(root, *_PLACE) as within:
            return beneath.is_file(within, name)
    except FileNotFoundError:
        return False


def _remove(root: Path, name: str) -> None:
    with beneath.directory(root, *_PLACE) as within:
        beneath.discard(within, name)
