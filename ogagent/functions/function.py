"""What a function of ogCore is: its call, its plan, its work, what is left of it, and what is told of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from msgspec import Struct

from ogagent.capture.machine import ModelMachine
from ogagent.crowd.seeding import Seeding
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError
from ogagent.finish.machine import FinishMachine
from ogagent.functions.insight import Insight
from ogagent.jobs.entry import Unended
from ogagent.jobs.work import Order
from ogagent.model.kind import Kind
from ogagent.model.progress import Books
from ogagent.partition.machine import TableMachine
from ogagent.partition.plan import Firmware
from ogagent.power.power import Power
from ogagent.restore.caching import Caching
from ogagent.settings import Settings
from ogagent.source.source import SourcePolicy

Refusals = tuple[type[AgentError], ...]


class Equipment(Struct, frozen=True, kw_only=True):
    """What there is to work with on this machine."""

    settings: Settings
    machine: Machine
    policy: SourcePolicy
    insight: Insight
    tables: TableMachine
    models: ModelMachine
    finisher: FinishMachine
    firmware: Firmware
    power: Power
    caching: Caching | None = None
    """None: nothing goes through the CACHE."""
    seeding: Seeding | None = None
    """None: nothing of it is given to others when a job has ended."""
    volatile: str = ""
    """See ``Host``."""


class Function(ABC):
    """One of them; made of what the machine has."""

    kind: ClassVar[Kind]
    summary: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]]
    """JSON schema of the call's body."""
    refusals: ClassVar[Refusals]
    """What its call, and so a plan of it, may be turned down with, beside what any call with a body may be."""
    foreseen: ClassVar[Refusals] = ()
    """What a plan finds out that its job would fail with."""
    preview: ClassVar[type]
    """What a plan shows."""

    @classmethod
    @abstractmethod
    def of(cls, equipment: Equipment) -> Self: ...

    @abstractmethod
    def order(self, members: Mapping[str, Any]) -> Order:
        """Raises MissingField or InvalidField."""

    async def settled(self, left: Unended, books: Books) -> bool:  # noqa: ARG002 - for those that have to look
        """See ``ogagent.jobs.recovery.Recovery``."""
        return False
