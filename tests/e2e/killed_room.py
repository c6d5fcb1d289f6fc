"""Clients whose agents are killed where a test says so, and started again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.partclone_writer import UsedBlocks
from tests.records import record_in

MIB: Final = 1 << 20
SECRET: Final = "0123456789abcdef" * 4
FILESYSTEM_SIZE: Final = 12 * MIB
SYSTEM: Final = Entry(number=1, start=MIB, size=FILESYSTEM_SIZE, type=LINUX_FILESYSTEM, name="Linux")
DATA: Final = Entry(number=2, start=13 * MIB, size=2 * MIB, type=LINUX_FILESYSTEM, name="Datos")
DISK_SIZE: Final = 16 * MIB


class Point(Struct, frozen=True):
    """Where an agent dies. ``kind`` is ``machine`` (then see killable_agent.Deadline), ``report`` or ``time``.

    ``forgets``: its state directory is lost with it.
    """

    kind: str
    at: int = -1
    when: str = ""
    share: float = 0.0
    forgets: bool = False


class Image(Struct, frozen=True):
    folder: Path
    content: bytes
    blocks: UsedBlocks

    def is_on(self, partition: bytes) -> bool:
        size = self.blocks.block_size
        return all(
            partition[part.start * size : part.stop * size] == self.content[part.start * size : part.stop * size]
            for part in self.blocks.ranges
        )


def make_disk(path: Path, number: int) -> None:
    """What is no table is noise: a stray write shows, and so does what was never written."""
    with path.open("wb") as file:
        file.write(random.Random(number).randbytes(DISK_SIZE))
        write_table(file, DISK_SIZE, (SYSTEM, DATA))


class Room:
    """One client, its present agent, and what ogCore has heard of it."""

    def __init__(self, folder: Path, number: int, server: Server, image: Image) -> None:
        folder.mkdir()
        self.address = f"127.0.4.{10 + number}"
        self.folder = folder
        self.image = image
        self.disk = folder / "disk"
        self.counter = folder / "counter"
        self.server = server
        self.finals: dict[str, dict[str, Any]] = {}
        self.accepted: set[str] = set()
        self.forgotten: set[str] = set()
        """Jobs of which the disk, too, had nothing to tell."""
        self.outcomes: Counter[str] = Counter()
        self.registered = asyncio.Event()
        self.heard = asyncio.Event()
        self.point = Point("none")
        self.pidfd = -1
        self.dead = asyncio.Event()
        self.life_s = 0.0
        make_disk(self.disk, number)

    @property
    def partition(self) -> bytes:
        return self.disk.read_bytes()[SYSTEM.start : SYSTEM.start + SYSTEM.size]

    def others(self) -> str:
        content = self.disk.read_bytes()
        return hashlib.sha256(content[: SYSTEM.start] + content[SYSTEM.start + SYSTEM.size :]).hexdigest()

    def configure(self, ogcore: str, ca: Path) -> None:
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        (self.folder / "agent.toml").write_text(
            f'[server]\naddress = "{self.address}"\n[access]\nsecret_file = "{secret}"\n'
            f'[ogcore]\nurl = "{ogcore}"\nca = "{ca}"\n'
            f'[repository]\nurl = "file://{self.image.folder}/{{nci}}.img"\n'
            f'[cache]\nrequired = false\n[state]\ndir = "{self.folder / "state"}"\n'
        )

    async def start(self, point: Point) -> None:
        """Returns when ogCore knows the agent, or when it has died before."""
        self.point = point
        self.registered.clear()
        self.dead = asyncio.Event()
        machine = point.kind == "machine"
        order = {
            "config": str(self.folder / "agent.toml"), "disk": str(self.disk), "log": str(self.folder / "log"),
            "counter": str(self.counter), "at": point.at if machine else -1, "when": point.when if machine else "",
        }  # fmt: skip
        self.pidfd = await self.server.start(order)
        asyncio.get_running_loop().add_reader(self.pidfd, self.dead.set)
        await either(self.registered, self.dead)

    def send(self, number: int) -> None:
        self.server.kill(self.pidfd, number)

    async def kill(self, number: int = signal.SIGKILL) -> None:
        self.send(number)
        async with asyncio.timeout(300):
            await self.dead.wait()
        asyncio.get_running_loop().remove_reader(self.pidfd)

    def hear(self, report: dict[str, Any]) -> None:
        if "res" in report:
            self.finals[report["job_id"]] = report
            self.heard.set()

    async def noted(self) -> None:
        """The partition, if it still says whose restore it was, says too that ogCore knows."""
        async with asyncio.timeout(300):
            while (record := record_in(self.partition)) is not None and not record.reported:  # noqa: ASYNC110 - a disk
                await asyncio.sleep(0.01)

    async def all_reported(self, job_ids: set[str]) -> None:
        """Every job has its final report; ends early when the agent dies."""
        while not job_ids <= set(self.finals) and not self.dead.is_set():
            self.heard.clear()
            await either(self.heard, self.dead)


async def either(one: asyncio.Event, other: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in (one, other)]
    done, pending = await asyncio.wait(waiting, timeout=300, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    assert done, "nothing happened for a minute"


class Server:
    """Forks the agents, see killable_agent.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()
        self._agents: list[int] = []

    async def start(self, order: dict[str, Any]) -> int:
        """A descriptor of the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            pidfd = os.pidfd_open(int(await self._process.stdout.readline()))
            self._process.stdin.write(b"\n")
        self._agents.append(pidfd)
        return pidfd

    def kill(self, pidfd: int, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)

    def close(self) -> None:
        """No agent is left."""
        for pidfd in self._agents:
            self.kill(pidfd)
            os.close(pidfd)


@asynccontextmanager
async def agent_server() -> AsyncIterator[Server]:
    script = Path(__file__).with_name("killable_agent.py")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), stdin=pipe, stdout=pipe)
    server = Server(process)
    try:
        yield server
    finally:
        server.close()
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
