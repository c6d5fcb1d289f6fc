"""The catalogue, and the images with their sidecars, for whoever asks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from simulator.repository.exchange import (
    CATALOGUE,
    POLL_S,
    RATE,
    abort,
    chunk_size,
    hang_up,
    is_gone,
    refused,
    trouble_of,
)
from simulator.repository.names import is_sidecar
from simulator.repository.ranges import Representation, Unsatisfiable, requested_part
from simulator.repository.trouble import Trouble

_PAGE: Final = "<!DOCTYPE html><html><body><h1>Sorry, we could not find that page</h1></body></html>\n"


async def send_catalogue(request: web.Request) -> web.StreamResponse:
    if refusal := refused(request, await trouble_of(request), sidecar=False):
        return refusal
    images = await asyncio.to_thread(request.app[CATALOGUE].images)
    return web.json_response(body=msgspec.json.encode({"images": images}))


async def send_file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    trouble = await trouble_of(request)
    if refusal := refused(request, trouble, sidecar=is_sidecar(name)):
        return refusal
    path = await asyncio.to_thread(request.app[CATALOGUE].file, name)
    if path is None and trouble.pages:
        return web.Response(text=_PAGE, content_type="text/html")
    if path is None:
        raise web.HTTPNotFound(text="there is no such image\n")
    async with _opened(path) as file:
        return await _send(request, file, trouble)


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[BinaryIO]:
    """Closed also when the client goes away before it is open."""
    opening = asyncio.ensure_future(asyncio.to_thread(path.open, "rb"))
    try:
        try:
            file = await asyncio.shield(opening)
        except OSError as error:
            raise web.HTTPForbidden(text=f"the image cannot be read: {error.strerror}\n") from None
        yield file
    finally:
        with suppress(OSError):
            (await opening).close()


async def _send(request: web.Request, file: BinaryIO, trouble: Trouble) -> web.StreamResponse:
    """The file is open already: what is sent is what the headers were made for, also when it is replaced meanwhile."""
    status = os.fstat(file.fileno())
    current = Representation(size=status.st_size, modified=status.st_mtime_ns)
    current = trouble.state(current, continued="Range" in request.headers)
    headers = CIMultiDict({"ETag": current.etag, "Last-Modified": current.last_modified, "Accept-Ranges": "bytes"})
    if trouble.coding:
        headers["Content-Encoding"] = trouble.coding
    try:
        asked = requested_part(request.headers, current)
    except Unsatisfiable:
        headers["Content-Range"] = f"bytes */{current.size}"
        return web.Response(status=416, headers=headers)
    part = trouble.part(asked)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{current.size}"
        trouble.disguise(headers, current)
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_type = "application/octet-stream"
    part = range(current.size) if part is None else part
    if trouble.unmeasured:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(part)
    await response.prepare(request)
    if request.method != "HEAD":
        await _send_bytes(request, response, file, part, current.size, asked.start if asked else 0)
    return response


async def _send_bytes(
    request: web.Request, response: web.StreamResponse, file: BinaryIO, part: range, size: int, asked: int
) -> None:
    """``size`` is that of the whole file, ``asked`` from where the client wants it."""
    await asyncio.to_thread(file.seek, part.start)
    position = part.start
    while position < part.stop:
        trouble = await trouble_of(request)
        rate = trouble.rate(request.app[RATE])
        if trouble.down:
            abort(request)
            return
        if trouble.cuts(position, size, asked):
            hang_up(request)
            return
        if trouble.stalls(position, size, asked):
            if is_gone(request):
                return
            await asyncio.sleep(POLL_S)
            continue
        stop = trouble.stop(position, part.stop, size)
        chunk = await asyncio.to_thread(file.read, min(chunk_size(rate), stop - position))
        if not chunk:  # the file became shorter: the client must not take what it has for the whole
            abort(request)
            return
        await response.write(trouble.spoiled(chunk, position, size))
        position += len(chunk)
        if rate:
            await asyncio.sleep(len(chunk) / rate)
