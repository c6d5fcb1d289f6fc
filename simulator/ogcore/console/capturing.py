"""An image is created: of which partition, under which name, and what that replaces."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from simulator.ogcore.captures import LONGEST_NAME, NAME
from simulator.ogcore.console.api import OgCoreAway
from simulator.ogcore.console.choices import Offer, can_be_captured, images_or_why, places
from simulator.ogcore.console.desk import DESK, Context, Desk, Page
from simulator.ogcore.console.outcomes import tell, tell_missing
from simulator.ogcore.views import ImageView

_LONGEST_SUGGESTION: Final = 60


def add_routes(app: web.Application) -> None:
    app.router.add_post("/create-image", create)
    app.router.add_post("/create-image/plan", create)
    app.router.add_post("/create-image/name", suggest_name)
    app.router.add_post("/create-image/note", note_name)


async def creation(desk: Desk, request: web.Request) -> Context:
    name = request.match_info["name"]
    client, offered, (images, why) = await asyncio.gather(
        desk.ogcore.client(name), places(desk, [name], can_be_captured), images_or_why(desk)
    )
    chosen = next((each for each in offered if each.likely), None) or next(iter(offered), None)
    suggested = suggestion(name, chosen, {image.name for image in images}) if chosen else ""
    return {"client": client, "places": offered, "why": why, **_named(suggested, suggested, images)}


async def suggest_name(request: web.Request) -> web.Response:
    """Another partition: another suggestion, unless somebody has typed a name himself."""
    desk, form = request.app[DESK], await request.post()
    client, typed, suggested = (str(form.get(name, "")) for name in ("client", "image", "suggested"))
    try:
        offered, (images, _) = await asyncio.gather(places(desk, [client], can_be_captured), images_or_why(desk))
    except OgCoreAway:
        offered, images = [], ()
    chosen = next((each for each in offered if each.value == form.get("place")), None)
    if chosen and typed in {"", suggested}:
        typed = suggested = suggestion(client, chosen, {image.name for image in images})
    return desk.fragment("capture-name.html", request, **_named(typed, suggested, images))


async def note_name(request: web.Request) -> web.Response:
    desk, form = request.app[DESK], await request.post()
    try:
        images, _ = await images_or_why(desk)
    except OgCoreAway:
        images = ()
    return desk.fragment("capture-note.html", request, taken=_taken(str(form.get("image", "")).strip(), images))


async def create(request: web.Request) -> web.Response:
    """The order; or, as a dry run, the question what it would do. A name that is taken has to be confirmed."""
    desk, form = request.app[DESK], await request.post()
    dry, client = request.path.endswith("/plan"), str(form.get("client", ""))
    order = _order_of(form)
    if not client or not order["partition"]:
        return tell_missing(request, "Select a partition.")
    if not re.search(NAME, order["image"]) or len(order["image"]) > LONGEST_NAME:
        return tell_missing(request, "A name is made of letters, digits, dots, hyphens and underscores, 200 at most.")
    if not dry and form.get("replace") != order["image"]:
        try:
            images, why = await images_or_why(desk)
        except OgCoreAway as away:
            images, why = (), str(away)
        if why:
            return tell_missing(request, why)
        if taken := _taken(order["image"], images):
            return desk.fragment("capture-taken.html", request, taken=taken)
    call = desk.ogcore.plan_image if dry else desk.ogcore.create_image
    return await tell(request, [client], lambda name: call(name, order), dry=dry)


def suggestion(client: str, offer: Offer, taken: Collection[str]) -> str:
    """After what is on the partition; one that is not ``taken``."""
    plain = unicodedata.normalize("NFKD", offer.what).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"\.\.+", ".", re.sub(r"[^a-z0-9._]+", "-", plain))[:_LONGEST_SUGGESTION].strip("-._")
    name = name or f"{client}-{offer.disk}-{offer.partition}"
    return next(each for each in _numbered(name) if each not in taken)


def _numbered(name: str) -> Iterable[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _named(name: str, suggested: str, images: Sequence[ImageView]) -> dict[str, Any]:
    return {"name": name, "suggested": suggested, "images": images, "taken": _taken(name, images)}


def _taken(name: str, images: Iterable[ImageView]) -> ImageView | None:
    return next((image for image in images if image.name == name), None)


def _order_of(form: MultiMapping[Any]) -> dict[str, str]:
    disk, _, partition = str(form.get("place", "")).partition("/")
    description = str(form.get("description", "")).replace("\r\n", "\n").strip()  # browsers send it with both
    where = {"disk": disk, "partition": partition}
    return {**where, "image": str(form.get("image", "")).strip(), "description": description}


CREATION: Final = Page("create-image.html", creation)
