"""What is ordered of one client: a function of its agent, and what people call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from simulator.ogcore.reports import RESTORE

COMMANDS: Final[Mapping[str, str]] = {
    "RestaurarImagen": "deploy-image",
    "CrearImagen": "create-image",
    "Configurar": "partition-and-format",
    "InventarioHardware": "hardware-inventory",
    "InventarioSoftware": "software-inventory",
    "EjecutarScript": "run-script",
    "IniciarSesion": "login",
    "Reiniciar": "reboot",
    "Apagar": "shutdown",
    "Actualizar": "refresh",
}
"""By function, as ogGui lists them."""


class Order(Struct, frozen=True, kw_only=True):
    """``members`` are those of the call, none when it was not ogCore that made it. ``partition`` is for people, as
    ``place_of`` writes it. ``image`` is the name of what is deployed or created, empty for the rest; only a deployment
    has a ``method``, only what is created a ``description``. ``session`` is the id of the one that it is part of.
    """

    client: str
    function: str = RESTORE
    members: dict[str, Any] = {}
    image: str = ""
    partition: str = ""
    method: str = ""
    description: str = ""
    session: str = ""

    @property
    def command(self) -> str:
        return COMMANDS.get(self.function, self.function)


def place_of(disk: object, partition: object) -> str:
    """Empty for what concerns the whole machine."""
    return "/".join(str(number) for number in (disk, partition) if number)
