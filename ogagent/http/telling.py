"""An answer of which somebody wants to know that it went out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

Heard = Callable[[], Awaitable[None]]


class Telling(web.Response):
    """``heard`` is called when all of it is on its way: before whoever gets it can make another call."""

    def __init__(self, text: str, heard: Heard) -> None:
        super().__init__(text=text, content_type="application/json")
        self._heard = heard

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        await self._heard()
