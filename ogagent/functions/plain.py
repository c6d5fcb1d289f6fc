"""Work that changes no disk, and leaves nothing half done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct

from ogagent.disk.lookup import check_identity
from ogagent.jobs.work import Claims
from ogagent.model.disk import Inventory
from ogagent.model.job import JobTarget, Phase
from ogagent.model.kind import Kind
from ogagent.model.progress import JobProgress


class Intention(Struct, frozen=True, kw_only=True):
    """``would`` says for people what the job would do."""

    would: str


class PlainWork(ABC):
    """Implements ``ogagent.jobs.work.Work``. ``own`` are members of the final report, as far as they are known."""

    overwrites: Final = None
    target: JobTarget | None = None
    afterwards: Callable[[], Awaitable[None]] | None = None

    def __init__(self, kind: Kind, request: Mapping[str, str], claims: Claims, would: str) -> None:
        self.kind = kind
        self.request = {**request, "nfn": kind.name}
        self.claims = claims
        self.progress = JobProgress()
        self.own: dict[str, str] = {}
        self._would = would

    @abstractmethod
    async def do(self) -> None:
        """Raises AgentError."""

    def check(self) -> None:
        """Raises DiskChanged when the request names a disk, and another one has its number."""
        if self.target is not None:
            check_identity(self.request.get("identity", ""), self.target.disk, self.target.identity)

    async def preview(self) -> Intention:
        self.check()
        return Intention(would=self._would)

    async def run(self) -> None:
        self.progress.enter(Phase.RUNNING)
        try:
            self.check()
            await self.do()
            self.progress.conclude()
        finally:
            self.progress.enter(None)

    def answer(self) -> Mapping[str, str]:
        return self.own


class PlainOrder:
    """Implements ``ogagent.jobs.work.Order`` for work that depends on no disk."""

    looks: Final = False

    def __init__(self, work: PlainWork) -> None:
        self._work = work

    def claims(self, inventory: Inventory) -> Claims:  # noqa: ARG002 - whatever is there
        return self._work.claims

    def plan(self, inventory: Inventory) -> PlainWork:  # noqa: ARG002 - whatever is there
        return self._work
