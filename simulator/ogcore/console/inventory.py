"""A client's hardware, and the software on its partitions, as its agent told last."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from simulator.ogcore.console.choices import places
from simulator.ogcore.console.desk import Context, Desk, Page
from simulator.ogcore.views import SoftwareView

PARTS: Final = {
    "cha": "Chassis", "boo": "Boot mode", "boa": "Mainboard", "bio": "BIOS", "cpu": "Processor", "mem": "Memory",
    "vga": "Graphics", "dis": "Hard disk", "net": "Network card", "aud": "Audio", "mul": "Multimedia",
    "mod": "Computer model", "cdr": "Optical drive", "ide": "IDE controller", "fir": "FireWire", "usb": "USB",
    "bus": "Serial bus", "sto": "Storage controller",
}  # fmt: skip
"""By OpenGnsys' codes."""


async def inventory(desk: Desk, request: web.Request) -> Context:
    name = request.match_info["name"]
    client, hardware, software, offered = await asyncio.gather(
        desk.ogcore.client(name), desk.ogcore.hardware(name), desk.ogcore.software(name), places(desk, [name])
    )
    return {
        "client": client,
        "chosen": [name],
        "hardware": hardware,
        "software": software,
        "shown": _shown(software, request.query.get("place", "")),
        "parts_of": PARTS,
        "places": offered,
    }


def _shown(software: tuple[SoftwareView, ...], place: str) -> SoftwareView | None:
    """That of the partition that was asked for, or else the newest."""
    wanted = (each for each in software if f"{each.disk}/{each.partition}" == place)
    return next(wanted, None) or max(software, key=lambda each: each.told, default=None)


INVENTORY: Final = Page("inventory.html", inventory)
