"""``IniciarSesion``, ``Reiniciar`` and ``Apagar``: the machine goes down, and comes up again or not.

It goes when ogCore knows that the job has succeeded; till then it can still fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final, Self

from ogagent import errors
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.functions.plain import Intention, PlainOrder, PlainWork
from ogagent.jobs.work import Claims, claims_on
from ogagent.model.disk import Inventory
from ogagent.model.job import Job
from ogagent.model.kind import Kind
from ogagent.model.members import DISK, IDENTITY, PARTITION, TRACE, Form, Rule, checked, function_name, schema
from ogagent.power.plan import boot_place
from ogagent.power.power import BootPlace, Going, Power

_WHOLE: Final = Claims(machine=True)


def _rules(kind: Kind) -> dict[str, Rule]:
    return {"nfn": function_name(kind.name), "ids": TRACE}


class _PowerFunction(Function):
    refusals: ClassVar[Refusals] = (errors.MachineBusy, errors.Stopping)
    preview: ClassVar[type] = Intention

    def __init__(self, power: Going) -> None:
        self.power = power

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        return cls(equipment.power)


class _Going(PlainWork):
    """Nothing is left to do but to go."""

    def __init__(self, kind: Kind, request: Mapping[str, str], would: str, act: Callable[[], Awaitable[None]]) -> None:
        super().__init__(kind, request, _WHOLE, would)
        self.afterwards = act

    async def do(self) -> None:
        """The job is there so that ogCore is told."""


_RESTART: Final = Kind(name="Reiniciar", response="RESPUESTA_Reiniciar", title=lambda _: "the restart of the machine")
_RESTART_RULES: Final = _rules(_RESTART)


class Reiniciar(_PowerFunction):
    kind: ClassVar[Kind] = _RESTART
    summary: ClassVar[str] = "Restart the machine"
    schema: ClassVar[Form] = schema(_RESTART_RULES)

    def order(self, members: Mapping[str, Any]) -> PlainOrder:
        return PlainOrder(_Going(_RESTART, checked(_RESTART_RULES, members), "restart the machine", self.power.restart))


_OFF: Final = Kind(name="Apagar", response="RESPUESTA_Apagar", title=lambda _: "the switching off of the machine")
_OFF_RULES: Final = _rules(_OFF)


class Apagar(_PowerFunction):
    kind: ClassVar[Kind] = _OFF
    summary: ClassVar[str] = "Switch the machine off"
    schema: ClassVar[Form] = schema(_OFF_RULES)

    def order(self, members: Mapping[str, Any]) -> PlainOrder:
        return PlainOrder(_Going(_OFF, checked(_OFF_RULES, members), "switch the machine off", self.power.switch_off))


def _title(job: Job) -> str:
    return f"the start of partition {job.request.get('par')} of disk {job.request.get('dsk')}"


_BOOT: Final = Kind(name="IniciarSesion", response="RESPUESTA_IniciarSesion", echoed=("dsk", "par"), title=_title)
_BOOT_RULES: Final = {**_rules(_BOOT), "dsk": DISK, "par": PARTITION, "identity": IDENTITY}


class IniciarSesion(_PowerFunction):
    kind: ClassVar[Kind] = _BOOT
    summary: ClassVar[str] = "Restart the machine, with the system of a partition"
    schema: ClassVar[Form] = schema(_BOOT_RULES)
    refusals: ClassVar[Refusals] = (
        *(errors.DiskNotFound, errors.PartitionNotFound, errors.DiskRenumbered, errors.MachineBusy),
        *(errors.PartitionInUse, errors.PartitionOverlaps, errors.DiskNotPartitioned, errors.NothingToBoot),
        errors.Stopping,
    )
    foreseen: ClassVar[Refusals] = (errors.NoSystem, errors.DeviceBusy, errors.DiskChanged)

    def __init__(self, power: Power) -> None:
        super().__init__(power)
        self._ways = power

    def order(self, members: Mapping[str, Any]) -> _BootOrder:
        return _BootOrder(checked(_BOOT_RULES, members), self._ways)


class _BootOrder:
    looks: Final = True

    def __init__(self, request: Mapping[str, str], power: Power) -> None:
        self._request = request
        self._power = power

    def claims(self, inventory: Inventory) -> Claims:
        return claims_on(int(self._request["dsk"]), self._request["identity"], inventory, machine=True)

    def plan(self, inventory: Inventory) -> _Boot:
        place = boot_place(int(self._request["dsk"]), int(self._request["par"]), inventory)
        return _Boot(self._request, self.claims(inventory), place, self._power)


class _Boot(PlainWork):
    def __init__(self, request: Mapping[str, str], claims: Claims, place: BootPlace, power: Power) -> None:
        super().__init__(_BOOT, request, claims, f"start {place.partition.name}")
        self.target = place.partition.named
        self._place = place
        self._power = power

    async def preview(self) -> Intention:
        self.check()
        return Intention(would=(await self._power.way_to(self._place)).would)

    async def do(self) -> None:
        way = await self._power.way_to(self._place)
        await way.prepare()
        self.afterwards = way.go
