"""A machine that stays up, and says what it would have done."""

from __future__ import annotations

from ogagent.errors import AgentError
from ogagent.power.power import BootPlace


class StillPower:
    """``done`` in order. ``missing`` is raised when a way is looked for, ``broken`` when it is prepared."""

    def __init__(self, missing: AgentError | None = None, broken: AgentError | None = None) -> None:
        self.done: list[str] = []
        self.missing = missing
        self.broken = broken

    async def restart(self) -> None:
        self.done.append("restart")

    async def switch_off(self) -> None:
        self.done.append("switch off")

    async def way_to(self, place: BootPlace) -> StillWay:
        if self.missing is not None:
            raise self.missing
        return StillWay(self, place)


class StillWay:
    def __init__(self, power: StillPower, place: BootPlace) -> None:
        self.would = f"start {place.partition.name}"
        self._power = power

    async def prepare(self) -> None:
        if self._power.broken is not None:
            raise self._power.broken
        self._power.done.append("prepare")

    async def go(self) -> None:
        self._power.done.append("go")
