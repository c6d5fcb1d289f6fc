"""What QEMU itself says of a PC: QMP, a line of JSON for each question and each answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any


class Monitor:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._out = process.stdin
        self._in = process.stdout
        self._greeted = False

    async def writes(self, drive: str) -> int:
        """How often something was written to it since the PC was switched on. Raises ConnectionError when it is off."""
        found = await self._ask("query-blockstats")
        return next(int(each["stats"]["wr_operations"]) for each in found if each.get("device") == drive)

    async def press_power_button(self) -> None:
        """Once, as a person does: what becomes of it is the system's affair."""
        await self._ask("system_powerdown")

    async def _ask(self, command: str) -> Any:
        if not self._greeted:
            self._greeted = True
            await self._line()
            await self._ask("qmp_capabilities")
        self._out.write(json.dumps({"execute": command}).encode() + b"\n")
        await self._out.drain()
        while "return" not in (answer := await self._line()):
            assert "error" not in answer, answer
        return answer["return"]

    async def _line(self) -> dict[str, Any]:
        line = await self._in.readline()
        if not line:
            raise ConnectionResetError("it is off")
        answer: dict[str, Any] = json.loads(line)
        return answer
