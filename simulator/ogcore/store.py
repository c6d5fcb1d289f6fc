"""What ogCore still knows after a restart: the agents that are there, what they told of hardware and software, the
images that they created, and the traces but for their progress.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from simulator.errors import LabError
from simulator.ogcore.clients import Client, Clients, Started
from simulator.ogcore.created import MOST_IMAGES, CreatedImages, Versions
from simulator.ogcore.inventories import Inventories
from simulator.ogcore.traces import MOST_TRACES, Trace, TraceRecord, Traces

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS agents (client TEXT PRIMARY KEY, started BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS inventories (client TEXT PRIMARY KEY, told BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, versions BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS traces (number INTEGER PRIMARY KEY, record BLOB NOT NULL);
"""
# What is replaced gets a new rowid.
_FORGET_IMAGES: Final = """
DELETE FROM images WHERE rowid NOT IN (SELECT rowid FROM images ORDER BY rowid DESC LIMIT ?)
"""


class Store:
    """One SQLite file that only its owner can read, since it holds the agents' secrets; in memory without a file."""

    def __init__(self, path: Path | None) -> None:
        """Raises LabError for a file that is no such store."""
        if path:
            path.touch(mode=0o600)
        try:
            self._database = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LabError(f"{path} cannot be used as ogCore's memory: {error}", hint="delete it") from None
        self._turn = asyncio.Lock()

    def load(self, clients: Clients, traces: Traces, created: CreatedImages) -> None:
        for name, started in self._database.execute("SELECT client, started FROM agents"):
            if client := clients.named(name):
                client.started(msgspec.json.decode(started, type=Started))
        for name, told in self._database.execute("SELECT client, told FROM inventories"):
            if client := clients.named(name):
                client.told = msgspec.json.decode(told, type=Inventories)
        for image_id, versions in self._database.execute("SELECT id, versions FROM images ORDER BY rowid"):
            created.restore(image_id, msgspec.json.decode(versions, type=Versions))
        for (record,) in self._database.execute("SELECT record FROM traces ORDER BY number"):
            traces.restore(msgspec.json.decode(record, type=TraceRecord))

    async def save_agent(self, client: Client) -> None:
        if client.agent:
            row = (client.name, msgspec.json.encode(client.agent))
            await self._do(lambda: self._database.execute("REPLACE INTO agents VALUES (?, ?)", row))
        else:
            await self._do(lambda: self._database.execute("DELETE FROM agents WHERE client = ?", (client.name,)))

    async def save_inventories(self, client: Client) -> None:
        row = (client.name, msgspec.json.encode(client.told))
        await self._do(lambda: self._database.execute("REPLACE INTO inventories VALUES (?, ?)", row))

    async def save_image(self, image_id: str, created: CreatedImages) -> None:
        row = (image_id, msgspec.json.encode(created.versions(image_id)))

        def write() -> None:
            self._database.execute("REPLACE INTO images VALUES (?, ?)", row)
            self._database.execute(_FORGET_IMAGES, (MOST_IMAGES,))

        await self._do(write)

    async def save_trace(self, trace: Trace) -> None:
        record = trace.record()
        row = (record.number, msgspec.json.encode(record))

        def write() -> None:
            self._database.execute("REPLACE INTO traces VALUES (?, ?)", row)
            self._database.execute("DELETE FROM traces WHERE number <= ?", (record.number - MOST_TRACES,))

        await self._do(write)

    async def close(self) -> None:
        await self._do(self._database.close)

    async def _do(self, work: Callable[[], object]) -> None:
        """A caller that is cancelled waits for his thread all the same: nobody may close the database under it."""
        async with self._turn:
            thread = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                await asyncio.shield(thread)
            finally:
                await asyncio.wait([thread])
