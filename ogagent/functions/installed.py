"""What can be asked of an installed system: nothing in here has a way to a disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from msgspec import Struct

from ogagent import errors
from ogagent.disk.lookup import find_disk, find_partition
from ogagent.disk.machine import Inventoried
from ogagent.disk.seen import ROOT
from ogagent.errors import NotInOgLive
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.functions.insight import InnerInsight
from ogagent.functions.inventories import SOFTWARE, SOFTWARE_RULES, InventarioHardware, Look
from ogagent.functions.plain import Intention
from ogagent.functions.power import Apagar, Reiniciar
from ogagent.functions.script import EjecutarScript
from ogagent.functions.table import Functions
from ogagent.installed.ledger import Surroundings
from ogagent.jobs.work import Claims
from ogagent.model.disk import Inventory
from ogagent.model.kind import Kind
from ogagent.model.members import Form, checked, schema
from ogagent.model.software import Software, software_text
from ogagent.power.power import Going
from ogagent.settings import Settings
from ogagent.system.desktop import Desktop
from ogagent.system.logind import Logind


class InstalledHost(Struct, frozen=True, kw_only=True):
    """The machine whose own system is running."""

    disks: Inventoried
    insight: InnerInsight
    power: Going
    logind: Logind
    desktop: Desktop
    here: Surroundings


class InstalledFunctions(Functions):
    def __init__(self, host: InstalledHost, settings: Settings) -> None:
        scripts = EjecutarScript(settings.state.place / "scripts", enabled=settings.machine.script.enabled)
        own = (
            InventarioHardware(host.insight),
            SoftwareHere(host.insight),
            scripts,
            Reiniciar(host.power),
            Apagar(host.power),
        )
        self._functions = {each.kind.name: each for each in own}


_NUMBERS: Final = ("dsk", "par")


class SoftwareHere(Function):
    """``InventarioSoftware`` of the running system: no other partition can be looked into from here."""

    kind: ClassVar[Kind] = SOFTWARE
    summary: ClassVar[str] = "What is installed in the running system"
    schema: ClassVar[Form] = schema(SOFTWARE_RULES)
    refusals: ClassVar[Refusals] = (
        *(errors.DiskNotFound, errors.PartitionNotFound, errors.NotInOgLive),
        *(errors.MachineBusy, errors.Stopping),
    )
    preview: ClassVar[type] = Intention

    def __init__(self, insight: InnerInsight) -> None:
        self._insight = insight

    @classmethod
    def of(cls, equipment: Equipment) -> Self:  # noqa: ARG003 - that is what an ogLive has
        raise TypeError("an ogLive looks into partitions")

    def order(self, members: Mapping[str, Any]) -> _Order:
        """Whoever names no partition means the running system."""
        named = any(members.get(name) is not None for name in _NUMBERS)
        return _Order(self._insight, checked(SOFTWARE_RULES, members) if named else {})


class _Order:
    def __init__(self, insight: InnerInsight, request: Mapping[str, str]) -> None:
        self.looks = bool(request)
        self._insight = insight
        self._request = request

    def claims(self, inventory: Inventory) -> Claims:  # noqa: ARG002 - no disk is touched
        return Claims()

    def plan(self, inventory: Inventory) -> _Look:
        if self._request:
            partition = find_partition(int(self._request["par"]), find_disk(int(self._request["dsk"]), inventory))
            if partition.mounted != ROOT:
                raise NotInOgLive(
                    f"{partition.device} is not where the running system lies",
                    hint="leave out the numbers, or ask from an ogLive",
                )
        return _Look(self._insight, self._request)


class _Look(Look):
    def __init__(self, insight: InnerInsight, request: Mapping[str, str]) -> None:
        super().__init__(SOFTWARE, request, Claims(), "tell what is installed in the running system")
        self._insight = insight

    async def look(self) -> Software:
        found = await self._insight.software_here()
        self.own["sft"] = software_text(found)
        return found
