"""Keeps an open page up to date with Server-Sent Events: what is new is rendered here, and sent when it differs."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from simulator.ogcore.console.api import Refusal
from simulator.ogcore.console.desk import DESK, Page

_LOOK_EVERY_S: Final = 0.4
_BREATHE_EVERY: Final = 25
"""So many looks without news, and a comment is sent: whoever has gone is noticed."""
_MOST_READERS: Final = 64

READERS: Final = web.AppKey("readers", set[asyncio.Task[object]])


async def stream(page: Page, request: web.Request) -> web.StreamResponse:
    readers = request.app[READERS]
    task = asyncio.current_task()
    if len(readers) >= _MOST_READERS or task is None:
        raise web.HTTPServiceUnavailable(text="too many pages are open")
    readers.add(task)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    try:
        await _send(page, request, response)
    except ConnectionResetError:  # the reader has gone
        pass
    finally:
        readers.discard(task)
    return response


async def end_all(app: web.Application) -> None:
    """Before the server waits for its connections: these would not end by themselves."""
    for reader in app[READERS]:
        reader.cancel()


async def _send(page: Page, request: web.Request, response: web.StreamResponse) -> None:
    sent, silent = "", 0
    while True:
        try:
            text = await request.app[DESK].live(page, request)
        except Refusal:  # what the page shows is not there any more
            return
        silent += 1
        if text != sent:
            lines = "".join(f"data: {line}\n" for line in text.splitlines())
            await response.write(f"{lines}\n".encode())
            sent, silent = text, 0
        elif silent >= _BREATHE_EVERY:
            await response.write(b": still here\n\n")
            silent = 0
        await asyncio.sleep(_LOOK_EVERY_S)
