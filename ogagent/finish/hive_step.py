"""A step that is a change of some values in one hive."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path

from ogagent.errors import NotReady
from ogagent.finish.files import Files
from ogagent.finish.hive import Hive, copied
from ogagent.finish.reg_text import Change

_log = logging.getLogger(__name__)


class HiveStep(ABC):
    """Implements ``ogagent.finish.step.Step``. ``folder`` is the agent's own, with room for the hive.

    ``warnings`` are for people, and known once it has been asked whether anything is needed.
    """

    def __init__(self, files: Files, path: str, folder: Path) -> None:
        self._files = files
        self._path = path
        self._folder = folder
        self.warnings: tuple[str, ...] = ()

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def would(self) -> str: ...

    @abstractmethod
    async def changes(self, hive: Hive) -> tuple[list[Change], list[str]]:
        """What is not yet as it shall be; and what to warn of. Raises AgentError."""

    async def needed(self) -> bool:
        async with copied(self._files, self._path, self._folder) as hive:
            changes, warnings = await self.changes(hive)
        self._warn(warnings)
        return bool(changes)

    async def do(self) -> None:
        async with copied(self._files, self._path, self._folder) as hive:
            changes, _ = await self.changes(hive)
            if changes:
                await hive.merge(changes)
                await hive.put_back()

    async def proof(self) -> None:
        async with copied(self._files, self._path, self._folder) as hive:
            changes, warnings = await self.changes(hive)
        self._warn(warnings)
        if changes:
            missing = ", ".join(f"{change.key}\\{change.name}" for change in changes[:3])
            raise NotReady(f"{self._path} does not hold what was written: {missing}")

    def _warn(self, warnings: list[str]) -> None:
        for warning in warnings:
            if warning not in self.warnings:
                _log.warning("%s: %s", self.name, warning)
        self.warnings = tuple(warnings)
