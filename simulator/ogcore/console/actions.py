"""What the buttons do. Each answers with a few lines that are shown beside them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from aiohttp import web
from msgspec.structs import replace

from simulator.errors import LabError
from simulator.ogcore.console.api import OgCoreAway, Refusal
from simulator.ogcore.console.choices import places
from simulator.ogcore.console.desk import DESK
from simulator.ogcore.console.hands import Hands
from simulator.ogcore.console.language import COOKIE, LANGUAGES
from simulator.ogcore.console.outcomes import chosen, tell, tell_missing, tell_room
from simulator.ogcore.views import Refused

_YEAR_S: Final = 365 * 24 * 3600
_SESSION: Final = ("speed", "wait", "port", "address")
_DONE: Final = {
    "switch-on": "{client} is being switched on.",
    "switch-off": "{client} is off.",
    "boot-oglive": "{client} restarts into ogLive.",
    "boot-disk": "{client} restarts from its disk.",
    "log-in": "Somebody has logged in to {client}.",
    "log-out": "Nobody is logged in to {client} any more.",
}


def add_routes(app: web.Application) -> None:
    app.router.add_post("/deploy", deploy)
    app.router.add_post("/deploy/plan", deploy)
    app.router.add_get("/deploy/places", offer_places)
    app.router.add_post("/traces/{id}/cancel", cancel)
    app.router.add_post("/traces/{id}/retry", retry)
    app.router.add_get("/clients/{name}/check", check)
    app.router.add_post("/clients/{name}/{action}", act)
    app.router.add_post("/images/put-back", put_back)
    app.router.add_post("/faults/inject", inject)
    app.router.add_post("/faults/heal", heal)
    app.router.add_post("/language", choose_language)


async def deploy(request: web.Request) -> web.Response:
    """The order to each of the chosen clients at the same time; or, as a dry run, the question what it would do."""
    ogcore, form = request.app[DESK].ogcore, await request.post()
    clients = chosen(form)
    disk, _, partition = str(form.get("place", "")).partition("/")
    if not clients or not form.get("image") or not partition:
        return tell_missing(request, "Select at least one client, an image and a partition.")
    dry = request.path.endswith("/plan")
    order = {"image": str(form["image"]), "disk": disk, "partition": partition, "method": str(form.get("method", ""))}
    if dry:
        return await tell(request, clients, lambda client: ogcore.plan(client, order), dry=True, image=order["image"])
    session = {name: text for name in _SESSION if (text := str(form.get(f"session-{name}", "")).strip())}
    try:
        return tell_room(request, await ogcore.deploy_to_room({**order, "clients": clients, "session": session}))
    except (Refusal, OgCoreAway) as error:
        return _refusal(request, error)


async def offer_places(request: web.Request) -> web.Response:
    """To other clients. What was chosen stays chosen; or else nothing is, and no other partition is overwritten."""
    desk, query = request.app[DESK], request.query
    clients = list(dict.fromkeys(query.getall("client", [])))
    found = await places(desk, clients)
    if "place" in query:
        found = [replace(each, likely=each.value == query["place"]) for each in found]
    lost = "place" in query and found and not any(each.likely for each in found)
    return desk.fragment("places-again.html" if lost else "places.html", request, places=found, chosen=clients)


async def cancel(request: web.Request) -> web.Response:
    number = request.match_info["id"]
    return await _notice(request, request.app[DESK].ogcore.cancel(number), "Trace {id} is cancelled.", id=number)


async def retry(request: web.Request) -> web.Response:
    desk, number = request.app[DESK], request.match_info["id"]
    try:
        accepted = await desk.ogcore.retry(number)
    except (Refusal, OgCoreAway) as error:
        return _refusal(request, error)
    return desk.fragment("notice.html", request, text="The order was given again.", values={}, trace=accepted.trace)


async def put_back(request: web.Request) -> web.Response:
    image = str((await request.post()).get("image", ""))
    work = request.app[DESK].ogcore.put_back(image)
    return await _notice(request, work, "The previous version of {image} is in its place again.", image=image)


async def check(request: web.Request) -> web.Response:
    """Asked once: the agent opens disks and calls ogCore for it."""
    desk, name = request.app[DESK], request.match_info["name"]
    try:
        found = await desk.ogcore.check(name)
    except (Refusal, OgCoreAway) as error:
        return _refusal(request, error)
    return desk.fragment("check.html", request, client=name, check=found)


async def act(request: web.Request) -> web.Response:
    client, action = request.match_info["name"], request.match_info["action"]
    hands = _hands(request)
    if not hands.has(client) or action not in _DONE:
        raise web.HTTPNotFound(text="there is nothing like that to do")
    calls = {
        "switch-on": hands.switch_on,
        "switch-off": hands.switch_off,
        "boot-oglive": hands.boot_oglive,
        "boot-disk": hands.boot_disk,
        "log-in": hands.log_in,
        "log-out": hands.log_out,
    }
    return await _notice(request, calls[action](client), _DONE[action], client=client)


async def inject(request: web.Request) -> web.Response:
    form = await request.post()
    fault = str(form.get("fault", "")).replace("WHERE", str(form.get("where", "")))
    return await _notice(request, _hands(request).inject(fault), "From now on: {fault}", fault=fault)


async def heal(request: web.Request) -> web.Response:
    fault = str((await request.post()).get("fault", ""))
    return await _notice(request, _hands(request).heal(fault), "Put right: {fault}", fault=fault)


async def choose_language(request: web.Request) -> web.Response:
    form = await request.post()
    language, back = str(form.get("language", "")), str(form.get("back", "/"))
    if language not in LANGUAGES or not back.startswith("/") or back.startswith(("//", "/\\")):
        raise web.HTTPBadRequest(text="there is no such language")
    response = web.HTTPSeeOther(back)
    response.set_cookie(COOKIE, language, max_age=_YEAR_S, samesite="Strict", httponly=True)
    raise response


def _hands(request: web.Request) -> Hands:
    hands = request.app[DESK].hands
    if hands is None:
        raise web.HTTPNotFound(text="there is no lab here")
    return hands


async def _notice(request: web.Request, work: Awaitable[object], text: str, **values: str) -> web.Response:
    try:
        await work
    except (LabError, Refusal, OgCoreAway) as error:
        return _refusal(request, error)
    return request.app[DESK].fragment("notice.html", request, text=text, values=values, trace="")


def _refusal(request: web.Request, error: LabError | Refusal | OgCoreAway) -> web.Response:
    match error:
        case Refusal():
            said = error.said
        case LabError():
            said = Refused(error=error.message, hint=error.hint)
        case _:
            said = Refused(error=f"ogCore does not answer: {error}")
    return request.app[DESK].fragment("refusal.html", request, refused=said)
