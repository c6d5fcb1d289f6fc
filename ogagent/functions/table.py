"""All functions of ogCore that this agent has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ogagent.errors import InvalidField
from ogagent.functions.capture import CrearImagen
from ogagent.functions.configure import Configurar
from ogagent.functions.function import Equipment, Function
from ogagent.functions.inventories import InventarioHardware, InventarioSoftware
from ogagent.functions.power import Apagar, IniciarSesion, Reiniciar
from ogagent.functions.refresh import Actualizar
from ogagent.functions.restore import RestaurarImagen
from ogagent.functions.script import EjecutarScript
from ogagent.jobs.recovery import Recovery
from ogagent.jobs.work import Order
from ogagent.model.kind import Kinds

FUNCTIONS: Final[tuple[type[Function], ...]] = (
    RestaurarImagen,
    CrearImagen,
    Configurar,
    InventarioHardware,
    InventarioSoftware,
    EjecutarScript,
    IniciarSesion,
    Reiniciar,
    Apagar,
    Actualizar,
)

KINDS: Final = Kinds(function.kind for function in FUNCTIONS)
_OF_OLD: Final = RestaurarImagen.kind.name
"""A body that names no function is one of this, which was there first."""


class Functions:
    """The functions of this machine, by name."""

    def __init__(self, equipment: Equipment) -> None:
        self._functions: Mapping[str, Function] = {each.kind.name: each.of(equipment) for each in FUNCTIONS}

    def __getitem__(self, name: str) -> Function:
        return self._functions[name]

    def order(self, members: Mapping[str, Any]) -> Order:
        """Of the function that the body names as its ``nfn``. Raises MissingField or InvalidField."""
        name = members.get("nfn") or _OF_OLD
        if not isinstance(name, str) or name not in self._functions:
            raise InvalidField(f"nfn is none of: {', '.join(self._functions)}", field="nfn")
        return self._functions[name].order(members)

    @property
    def recoveries(self) -> dict[str, Recovery]:
        return {name: function.settled for name, function in self._functions.items()}
