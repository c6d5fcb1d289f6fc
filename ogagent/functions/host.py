"""The machine that the agent runs on, with all that can be done to it."""

from __future__ import annotations

from msgspec import Struct

from ogagent.capture.machine import ModelMachine
from ogagent.crowd.seeding import Seeding
from ogagent.disk.machine import CacheStore, WholeMachine
from ogagent.finish.machine import FinishMachine
from ogagent.functions.function import Equipment
from ogagent.functions.insight import Insight
from ogagent.partition.machine import TableMachine
from ogagent.partition.plan import Firmware
from ogagent.power.power import Power
from ogagent.restore.caching import Caching
from ogagent.settings import Settings
from ogagent.source.source import SourcePolicy


class Host(Struct, frozen=True, kw_only=True):
    machine: WholeMachine
    store: CacheStore
    insight: Insight
    tables: TableMachine
    models: ModelMachine
    finisher: FinishMachine
    power: Power
    firmware: Firmware
    """By which the machine has booted."""
    volatile: str = ""
    """A directory on the live system's own file system, which is gone when the machine restarts. Empty: that stays."""

    def equipment(
        self,
        settings: Settings,
        policy: SourcePolicy,
        caching: Caching | None = None,
        seeding: Seeding | None = None,
    ) -> Equipment:
        """Without ``caching`` nothing goes through the CACHE; without ``seeding`` nothing of it is given to others."""
        return Equipment(
            settings=settings,
            machine=self.machine,
            policy=policy,
            insight=self.insight,
            tables=self.tables,
            models=self.models,
            finisher=self.finisher,
            firmware=self.firmware,
            power=self.power,
            caching=caching,
            seeding=seeding,
            volatile=self.volatile,
        )
