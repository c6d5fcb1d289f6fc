"""A machine that stays up, and says what it would have done."""

from __future__ import annotations

from collections.abc import Callable

from ogagent.errors import AgentError
from ogagent.power.power import BootPlace


class StillPower:
    """``done`` in order; ``watch`` is called before each. What is raised: ``missing`` when a way is looked for,
    ``broken`` when it is prepared, ``stuck`` when the machine is to go down.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.watch: Callable[[], object] = lambda: None
        self.missing: AgentError | None = None
        self.broken: AgentError | None = None
        self.stuck: AgentError | None = None

    async def restart(self) -> None:
        self.do("restart", self.stuck)

    async def switch_off(self) -> None:
        self.do("switch off", self.stuck)

    async def way_to(self, place: BootPlace) -> StillWay:
        if self.missing is not None:
            raise self.missing
        return StillWay(self, place)

    def do(self, what: str, error: AgentError | None) -> None:
        self.watch()
        if error is not None:
            raise error
        self.done.append(what)


class StillWay:
    def __init__(self, power: StillPower, place: BootPlace) -> None:
        self.would = f"start {place.partition.name}"
        self._power = power

    async def prepare(self) -> None:
        self._power.do("prepare", self._power.broken)

    async def go(self) -> None:
        self._power.do("go", self._power.stuck)
