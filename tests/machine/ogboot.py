"""ogBoot: DHCP has named iPXE to a PC, iPXE asks here for the script of that PC, and all that follows comes by HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from tests.machine.network import SCRIPTS, SERVER

OGBOOT_PORT: Final = 80
_OGLIVE: Final = "ogLive"
_FROM: Final = f"http://{SERVER}/tftpboot/{_OGLIVE}"
_ADDRESS: Final = f"ip=${{ip}}:{SERVER}:${{gateway}}:${{netmask}}:${{hostname}}::none"
"""The one that iPXE has been given."""
_WORDS: Final = f"ro boot=oginit og2nd=sqfs oglivedir={_OGLIVE} ogrepo={SERVER} {_ADDRESS}"


def ogboot_app(oglive: Path, more: str) -> web.Application:
    """Each PC is to start the ogLive in that directory, with ``more`` on its command line."""

    async def script(_: web.Request) -> web.Response:
        kernel = f"kernel {_FROM}/ogvmlinuz initrd=oginitrd.img {_WORDS} {more}"
        return web.Response(text="\n".join(["#!ipxe", kernel, f"initrd {_FROM}/oginitrd.img", "boot", ""]))

    app = web.Application()
    app.router.add_get(f"{SCRIPTS}/{{pc}}", script)
    app.router.add_static(f"/tftpboot/{_OGLIVE}", oglive)
    return app
