"""The functions of an agent that need no more than a partition or a script, as buttons."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from simulator.ogcore.console.outcomes import chosen, commanded, tell, tell_missing

PLAIN: Final = ("Actualizar", "Reiniciar", "Apagar", "InventarioHardware")
OF_PARTITION: Final = ("IniciarSesion", "InventarioSoftware")
_SCRIPT: Final = "EjecutarScript"


def add_routes(app: web.Application) -> None:
    app.router.add_post("/orders/{function}", order)


async def order(request: web.Request) -> web.Response:
    function, form = request.match_info["function"], await request.post()
    clients, members = chosen(form), {}
    if function in OF_PARTITION:
        disk, _, partition = str(form.get("place", "")).partition("/")
        if not clients or not partition:
            return tell_missing(request, "Select at least one client and a partition.")
        members = {"dsk": disk, "par": partition}
    elif function == _SCRIPT:
        script = str(form.get("scp", "")).replace("\r\n", "\n").strip()  # browsers send what was typed with both
        if not clients or not script:
            return tell_missing(request, "Select at least one client, and write a script.")
        members = {"scp": f"{script}\n"}  # with a blank in it, it is not taken for percent-encoded
    elif function not in PLAIN:
        raise web.HTTPNotFound(text="there is nothing like that to order")
    elif not clients:
        return tell_missing(request, "Select at least one client.")
    return await tell(request, clients, commanded(request, function, members))
