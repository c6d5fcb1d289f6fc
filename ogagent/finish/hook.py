"""A program of the administrator's, at the end of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from ogagent.errors import AgentError, NotReady
from ogagent.finish.machine import View
from ogagent.finish.place import Place


class Job(Struct, frozen=True, kw_only=True):
    """What a hook is told of the job that it belongs to, all of it in ogCore's words."""

    job_id: str = ""
    request: Mapping[str, Any] = {}

    @property
    def repository(self) -> str:
        return str(self.request.get("ipr", ""))

    @property
    def image(self) -> str:
        return str(self.request.get("nci", ""))


class Hook:
    """Implements ``ogagent.finish.step.Step``. Runs again after a kill in the middle: it has to bear that."""

    name: Final = "hook"

    warnings: Final[Sequence[str]] = ()

    def __init__(self, program: str, timeout_s: float, place: Place, job: Job, root: Path, view: View | None) -> None:
        self.would = f"{program} is run"
        self._program = program
        self._timeout_s = timeout_s
        self._place = place
        self._job = job
        self._root = root
        self._view = view

    async def needed(self) -> bool:
        return True

    async def do(self) -> None:
        if self._view is None:
            raise NotReady("it is not mounted")
        target = self._place.target
        argv = (self._program, str(target.disk), str(target.partition), self._job.repository, self._job.image)
        variables = {"OGAGENT_ROOT": str(self._root)}
        try:
            await self._view.hook(argv, self._timeout_s, msgspec.json.encode(self._told()), variables)
        except AgentError as error:
            raise NotReady(error.message, hint=error.hint) from error

    async def proof(self) -> None:
        """Its exit status was 0."""

    def _told(self) -> dict[str, Any]:
        return {
            "job_id": self._job.job_id,
            "request": self._job.request,
            "target": self._place.target.named,
            "hostname": self._place.hostname,
        }
