"""ogRepository: the catalogue, and the images with their sidecars, over HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from aiohttp import web

from simulator.repository.catalogue import Catalogue
from simulator.repository.ranges import Representation, Unsatisfiable, requested_part

PREFIX: Final = "/ogrepository/images"
_CATALOGUE: Final = web.AppKey("catalogue", Catalogue)
_RATE: Final = web.AppKey("rate", int)
_CHUNK: Final = 1 << 20
_UNLIMITED: Final = 0
_CHUNKS_A_SECOND: Final = 10


def repository_app(directory: Path, *, rate: int = _UNLIMITED) -> web.Application:
    """``rate`` is how many bytes a second each connection gets, 0 for as many as it takes."""
    app = web.Application()
    app[_RATE] = rate
    app[_CATALOGUE] = Catalogue(directory)
    app.router.add_get(PREFIX, _images)
    app.router.add_get(PREFIX + "/{name:.+}", _file)
    return app


async def _images(request: web.Request) -> web.Response:
    images = await asyncio.to_thread(request.app[_CATALOGUE].images)
    return web.json_response(body=msgspec.json.encode({"images": images}))


async def _file(request: web.Request) -> web.StreamResponse:
    path = await asyncio.to_thread(request.app[_CATALOGUE].file, request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="there is no such image\n")
    async with _opened(path) as file:
        return await _send(request, file)


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


async def _send(request: web.Request, file: BinaryIO) -> web.StreamResponse:
    """The file is open already: what is sent is what the headers were made for, also when it is replaced meanwhile."""
    status = os.fstat(file.fileno())
    current = Representation(size=status.st_size, modified=status.st_mtime_ns)
    headers = {"ETag": current.etag, "Last-Modified": current.last_modified, "Accept-Ranges": "bytes"}
    try:
        part = requested_part(request.headers, current)
    except Unsatisfiable:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{current.size}"})
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{current.size}"
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_type = "application/octet-stream"
    part = range(current.size) if part is None else part
    response.content_length = len(part)
    await response.prepare(request)
    if request.method != "HEAD":
        await _send_bytes(request, response, file, part)
    return response


async def _send_bytes(request: web.Request, response: web.StreamResponse, file: BinaryIO, part: range) -> None:
    await asyncio.to_thread(file.seek, part.start)
    rate = request.app[_RATE]
    size = rate // _CHUNKS_A_SECOND or _CHUNK
    left = len(part)
    while left:
        chunk = await asyncio.to_thread(file.read, min(size, left))
        if not chunk:  # the file became shorter: the client must not take what it has for the whole
            if request.transport:
                request.transport.abort()
            return
        await response.write(chunk)
        left -= len(chunk)
        if rate:
            await asyncio.sleep(len(chunk) / rate)
