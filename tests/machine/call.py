"""The agent, as ogCore calls it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.machine.network import SERVER
from tests.machine.vm import PATIENCE_S


class Agent:
    def __init__(self, http: ClientSession) -> None:
        self._http = http

    async def answers(self) -> bool:
        try:
            async with self._http.get("/healthz") as response:
                return response.status == 200
        except (ClientError, TimeoutError):
            return False

    async def ask(self, path: str) -> Any:
        async with self._http.get(path) as response:
            response.raise_for_status()
            return await response.json()

    async def disk_number(self, size: int) -> int:
        """Of the one disk of that size."""
        [number] = [disk["disk"] for disk in (await self.ask("/disks"))["disks"] if disk["size"] == size]
        return int(number)

    async def restore(self, disk: int, partition: int, image: str, method: str) -> str:
        """The job's id."""
        call = {
            "dsk": str(disk), "par": str(partition), "cpt": "83", "ifs": "1",
            "idi": "01936caf-facb-72ad-9446-97e7dbf2b96a", "nci": image, "ipr": SERVER,
            "nfn": "RestaurarImagen", "method": method, "ids": "0",
        }  # fmt: skip
        return await self._call(call)

    async def start(self, disk: int, partition: int) -> None:
        """The PC restarts with the system of that partition."""
        await self._call({"nfn": "IniciarSesion", "dsk": str(disk), "par": str(partition), "ids": "0"})

    async def _call(self, call: dict[str, str]) -> str:
        async with self._http.post(f"/CloningEngine/{call['nfn']}", json=call) as response:
            answer = await response.json()
            assert response.status < 300, answer
            return str(answer["job_id"])

    async def changes(self, job: str) -> AsyncIterator[dict[str, Any]]:
        """What the job is at each change, to its end."""
        async with self._http.get(f"/jobs/{job}/events") as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    async def ended(self, job: str) -> dict[str, Any]:
        """As it is at its end."""
        return [change async for change in self.changes(job)][-1]


@asynccontextmanager
async def agent_at(address: str, secret: str = "") -> AsyncIterator[Agent]:
    """``secret``: the one that it has told ogCore; none is shown to an agent that goes by addresses."""
    # A handshake is much work for a guest; a refused connection is an error at once all the same.
    timeout = ClientTimeout(total=None, sock_connect=PATIENCE_S, sock_read=PATIENCE_S)
    headers = {"Authorization": secret} if secret else {}
    connector = TCPConnector(ssl=False)
    async with ClientSession(f"https://{address}:8000", connector=connector, timeout=timeout, headers=headers) as http:
        yield Agent(http)
