"""The hands of a lab: what a person would do in the room itself. The console calls for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from simulator.errors import LabError
from simulator.lab.room import Room
from simulator.lab.trouble import Trouble

_LOOK_EVERY_S: Final = 0.5


class Control:
    """Implements ``simulator.ogcore.console.hands.Hands``. What is done to one host is done in order."""

    def __init__(self, room: Room, trouble: Trouble) -> None:
        self._room = room
        self._trouble = trouble
        self._turns = {name: asyncio.Lock() for name in room.hosts}
        self._trouble_turn = asyncio.Lock()
        self._notes: dict[str, str] = {}

    def clients(self) -> tuple[str, ...]:
        return tuple(self._room.hosts)

    def has(self, client: str) -> bool:
        return client in self._room.hosts

    def runs(self, client: str) -> bool:
        return self._room.runs(client)

    def reason(self, client: str) -> str:
        return self._room.hosts[client].profile.reason

    def target(self, client: str) -> tuple[int, int]:
        return self._room.hosts[client].target

    def note(self, client: str) -> str:
        """Why the client is not there though it was switched on."""
        return self._notes.get(client, "")

    async def switch_on(self, client: str) -> None:
        if self._room.runs(client):
            raise LabError(f"{client} is on")
        await self._boot(client)

    async def boot_oglive(self, client: str) -> None:
        await self._boot(client)

    async def boot_disk(self, client: str) -> None:
        await self._do(client, lambda: self._room.restart_from_disk(client))
        self._trouble.forget(f"{client}:agent")

    async def switch_off(self, client: str) -> None:
        await self._do(client, lambda: self._room.stop(client))

    async def log_in(self, client: str) -> None:
        await self._do(client, lambda: self._room.log_in(client))

    async def log_out(self, client: str) -> None:
        await self._do(client, lambda: self._room.log_out(client))

    def faults(self) -> tuple[str, ...]:
        return tuple(self._trouble.active)

    async def inject(self, fault: str) -> None:
        async with self._trouble_turn:
            await asyncio.to_thread(self._trouble.inject, fault)

    async def heal(self, fault: str) -> None:
        async with self._trouble_turn:
            await asyncio.to_thread(self._trouble.heal, fault)

    async def watch(self) -> None:
        """Notes clients that end by themselves; those that were told to, come up again, or not.

        Raises LabError when ogCore or the repository ends.
        """
        while True:
            await asyncio.to_thread(self._room.check_servers)
            for name, turn in self._turns.items():
                if not turn.locked():
                    async with turn:
                        error = await asyncio.to_thread(self._room.ended, name)
                    if error:
                        self._notes[name] = error.message
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _boot(self, client: str) -> None:
        await self._do(client, lambda: self._room.start_client(client))
        self._trouble.forget(f"{client}:agent")

    async def _do(self, client: str, work: Callable[[], None]) -> None:
        async with self._turns[client]:
            self._notes.pop(client, None)
            await asyncio.to_thread(work)
