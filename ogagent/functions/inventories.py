"""``InventarioHardware``, ``InventarioSoftware``: what a machine is made of, and what is installed on a partition."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from ogagent import errors
from ogagent.disk.lookup import find_disk, find_partition, refuse_without_table
from ogagent.errors import FilesystemNotSupported, PartitionInUse, SoftwareIncomplete
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.functions.insight import HardwareInsight, Insight
from ogagent.functions.plain import Intention, PlainOrder, PlainWork
from ogagent.jobs.work import Claims, claims_on
from ogagent.model.disk import Inventory, Partition
from ogagent.model.filesystem import READABLE
from ogagent.model.hardware import Hardware, hardware_text
from ogagent.model.job import Job
from ogagent.model.kind import Kind
from ogagent.model.members import DISK, IDENTITY, PARTITION, TRACE, Form, checked, function_name, schema
from ogagent.model.plan import Target, bound
from ogagent.model.software import Software, software_text

_HARDWARE: Final = Kind(
    name="InventarioHardware", response="RESPUESTA_InventarioHardware", title=lambda _: "the inventory of hardware"
)
_HARDWARE_RULES: Final = {"nfn": function_name(_HARDWARE.name), "ids": TRACE}


class Look(PlainWork):
    """``found`` is what was seen, as a value of the model."""

    found: Hardware | Software

    async def do(self) -> None:
        self.found = await self.look()

    @abstractmethod
    async def look(self) -> Hardware | Software:
        """Raises AgentError."""


class InventarioHardware(Function):
    preview: ClassVar[type] = Intention
    kind: ClassVar[Kind] = _HARDWARE
    summary: ClassVar[str] = "What the machine is made of"
    schema: ClassVar[Form] = schema(_HARDWARE_RULES)
    refusals: ClassVar[Refusals] = (errors.Stopping,)

    def __init__(self, insight: HardwareInsight) -> None:
        self._insight = insight

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        return cls(equipment.insight)

    def order(self, members: Mapping[str, Any]) -> PlainOrder:
        return PlainOrder(_HardwareLook(self._insight, checked(_HARDWARE_RULES, members)))


class _HardwareLook(Look):
    def __init__(self, insight: HardwareInsight, request: Mapping[str, str]) -> None:
        super().__init__(_HARDWARE, request, Claims(), "tell ogCore what this machine is made of")
        self._insight = insight

    async def look(self) -> Hardware:
        found = await self._insight.hardware()
        self.own["hrd"] = hardware_text(found)
        return found


def _title(job: Job) -> str:
    where = f"partition {job.target.partition} of disk {job.target.disk}" if job.target else "a partition"
    return f"the inventory of software on {where}"


SOFTWARE: Final = Kind(
    name="InventarioSoftware", response="RESPUESTA_InventarioSoftware", echoed=("dsk", "par"), title=_title
)
SOFTWARE_RULES: Final = {
    "nfn": function_name(SOFTWARE.name),
    "dsk": DISK,
    "par": PARTITION,
    "identity": IDENTITY,
    "ids": TRACE,
}


class InventarioSoftware(Function):
    preview: ClassVar[type] = Intention
    kind: ClassVar[Kind] = SOFTWARE
    summary: ClassVar[str] = "What is installed on a partition, which stays as it is"
    schema: ClassVar[Form] = schema(SOFTWARE_RULES)
    refusals: ClassVar[Refusals] = (
        *(errors.DiskNotFound, errors.DiskNotPartitioned, errors.PartitionNotFound, errors.PartitionInUse),
        *(errors.FilesystemNotSupported, errors.DiskBusy, errors.DiskRenumbered, errors.MachineBusy, errors.Stopping),
    )
    foreseen: ClassVar[Refusals] = (errors.DiskChanged,)

    def __init__(self, insight: Insight) -> None:
        self._insight = insight

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        return cls(equipment.insight)

    def order(self, members: Mapping[str, Any]) -> _Order:
        return _Order(self._insight, checked(SOFTWARE_RULES, members))


class _Order:
    looks: Final = True

    def __init__(self, insight: Insight, request: Mapping[str, str]) -> None:
        self._insight = insight
        self._request = request

    def claims(self, inventory: Inventory) -> Claims:
        return claims_on(int(self._request["dsk"]), self._request["identity"], inventory)

    def plan(self, inventory: Inventory) -> _SoftwareLook:
        disk = find_disk(int(self._request["dsk"]), inventory)
        refuse_without_table(disk)
        partition = find_partition(int(self._request["par"]), disk)
        target = bound(disk, partition)
        _refuse_unreadable(target, partition)
        return _SoftwareLook(self._insight, self._request, target, partition.filesystem)


def _refuse_unreadable(target: Target, partition: Partition) -> None:
    if partition.mounted:
        raise PartitionInUse(
            f"{target.name} ({target.device}) is in use: {partition.mounted}", field="par", hint="unmount it first"
        )
    if partition.filesystem not in READABLE:
        held = partition.filesystem or "no file system"
        raise FilesystemNotSupported(
            f"{target.name} ({target.device}) holds {held}, which cannot be looked into",
            field="par",
            hint=f"what can be looked into: {', '.join(READABLE)}",
        )


class _SoftwareLook(Look):
    def __init__(self, insight: Insight, request: Mapping[str, str], target: Target, filesystem: str) -> None:
        claims = Claims(disks={target.identity: target.disk})
        super().__init__(SOFTWARE, request, claims, f"tell ogCore what is installed on {target.name}")
        self.target = target.named
        self._insight = insight
        self._place = target
        self._filesystem = filesystem

    async def look(self) -> Software:
        found = await self._insight.software(self._place, self._filesystem)
        self.progress.warnings += [SoftwareIncomplete(note).der for note in found.notes]
        self.own["sft"] = software_text(found)
        return found
