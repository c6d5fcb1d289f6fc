"""Where a request for a page finds what it needs, and how a page is rendered: as a whole, or the part that lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import jinja2
from aiohttp import web
from msgspec import Struct

from simulator.ogcore.console import figures, together
from simulator.ogcore.console.api import OgCore, OgCoreAway
from simulator.ogcore.console.hands import Hands
from simulator.ogcore.console.language import LANGUAGES, language_of, say_in

Context = dict[str, Any]
View = Callable[["Desk", web.Request], Awaitable[Context]]

_TEMPLATES: Final = Path(__file__).parent / "templates"


class Page(Struct, frozen=True):
    """``view`` gathers what ``template`` shows; it is asked again and again while somebody looks at the page."""

    template: str
    view: View


class Desk:
    """``hands`` is None where there is no lab."""

    def __init__(self, ogcore: OgCore, hands: Hands | None) -> None:
        self.ogcore = ogcore
        self.hands = hands
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"size": figures.size, "rate": figures.rate, "clock": figures.clock}
        self._templates.filters |= {"titled": figures.title, "printed": figures.printed, "day": figures.day}
        self._templates.filters |= {"shares": together.shares, "parting": together.parting}
        self._templates.globals |= {"segments": figures.segments, "stages": figures.stages}

    async def page(self, page: Page, request: web.Request) -> str:
        """Whole. Without ogCore it is empty, and says so."""
        try:
            context = self._frame(request) | await self._gather(page, request)
        except OgCoreAway as error:
            return self._templates.get_template("away.html").render(self._frame(request, away=str(error)))
        return self._templates.get_template(page.template).render(context)

    async def live(self, page: Page, request: web.Request) -> str:
        """What changes on the page, and the parts of the frame around it. Without ogCore the page stays as it was."""
        try:
            context = self._frame(request) | await self._gather(page, request)
            body = self._block(page.template, "live", context)
        except OgCoreAway as error:
            context = self._frame(request, away=str(error))
            body = ""
        return body + self._templates.get_template("frame.html").render(context)

    def fragment(self, template: str, request: web.Request, **values: Any) -> web.Response:
        text = self._templates.get_template(template).render(self._frame(request) | values)
        return web.Response(text=text, content_type="text/html")

    async def _gather(self, page: Page, request: web.Request) -> Context:
        """Raises OgCoreAway when the page needs ogCore; one that does not says only that it is away."""
        context, count = await asyncio.gather(page.view(self, request), self._count_running())
        return context | count

    async def _count_running(self) -> Context:
        try:
            running, pending = await asyncio.gather(
                self.ogcore.traces({"status": "in-progress"}), self.ogcore.traces({"status": "pending"})
            )
        except OgCoreAway as error:
            return {"away": str(error)}
        return {"running": len(running) + len(pending)}

    def _frame(self, request: web.Request, *, away: str = "") -> Context:
        language = language_of(request)
        faults = self.hands.faults() if self.hands else ()
        return {
            "_": say_in(language),
            "language": language,
            "languages": LANGUAGES,
            "lab": self.hands,
            "faults": faults,
            "path": request.path.removeprefix("/live") or "/",
            "address": request.path_qs.removeprefix("/live") or "/",
            "away": away,
            "running": 0,
        }

    def _block(self, template: str, block: str, context: Context) -> str:
        """Empty for a template that has no such block."""
        found = self._templates.get_template(template)
        return "".join(found.blocks[block](found.new_context(context))) if block in found.blocks else ""


DESK: Final = web.AppKey("desk", Desk)
