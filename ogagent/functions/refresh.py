"""``Actualizar``: ogCore is told the disks as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from ogagent import errors
from ogagent.functions.function import Equipment, Function, Refusals
from ogagent.functions.plain import Intention, PlainOrder, PlainWork
from ogagent.jobs.work import Claims
from ogagent.model.kind import Kind
from ogagent.model.members import TRACE, Form, checked, function_name, schema

KIND: Final = Kind(
    name="Actualizar",
    response="RESPUESTA_Configurar",  # ogCore takes the disks from it whoever sends them
    disks=True,
    title=lambda _: "the look at the disks",
)
_RULES: Final = {"nfn": function_name(KIND.name), "ids": TRACE}


class Actualizar(Function):
    kind: ClassVar[Kind] = KIND
    summary: ClassVar[str] = "Tell ogCore the disks as they are now"
    schema: ClassVar[Form] = schema(_RULES)
    refusals: ClassVar[Refusals] = (errors.Stopping,)
    preview: ClassVar[type] = Intention

    @classmethod
    def of(cls, equipment: Equipment) -> Self:  # noqa: ARG003 - the jobs look at the disks themselves
        return cls()

    def order(self, members: Mapping[str, Any]) -> PlainOrder:
        return PlainOrder(_Work(KIND, checked(_RULES, members), Claims(), "tell ogCore the disks as they are now"))


class _Work(PlainWork):
    async def do(self) -> None:
        """The disks are looked at for the final report."""
