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
from multidict import CIMultiDict

from simulator.faults import Faults, no_faults
from simulator.repository.catalogue import IMAGE_SUFFIX, Catalogue
from simulator.repository.ranges import Representation, Unsatisfiable, requested_part
from simulator.repository.trouble import Trouble

PREFIX: Final = "/ogrepository/images"
_CATALOGUE: Final = web.AppKey("catalogue", Catalogue)
_RATE: Final = web.AppKey("rate", int)
_FAULTS: Final[web.AppKey[Faults]] = web.AppKey("faults")
_PAGE: Final = "<!DOCTYPE html><html><body><h1>Sorry, we could not find that page</h1></body></html>\n"
_CHUNK: Final = 1 << 20
_UNLIMITED: Final = 0
_CHUNKS_A_SECOND: Final = 10
_POLL_S: Final = 0.1


def repository_app(directory: Path, *, rate: int = _UNLIMITED, faults: Faults = no_faults) -> web.Application:
    """``rate`` is how many bytes a second each connection gets, 0 for as many as it takes.

    ``faults`` is asked again and again, also while an image is being sent.
    """
    app = web.Application()
    app[_RATE] = rate
    app[_FAULTS] = faults
    app[_CATALOGUE] = Catalogue(directory)
    app.router.add_get(PREFIX, _images)
    app.router.add_get(PREFIX + "/{name:.+}", _file)
    return app


async def _images(request: web.Request) -> web.StreamResponse:
    if refused := _refused(request, await _trouble(request), sidecar=False):
        return refused
    images = await asyncio.to_thread(request.app[_CATALOGUE].images)
    return web.json_response(body=msgspec.json.encode({"images": images}))


async def _file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    trouble = await _trouble(request)
    if refused := _refused(request, trouble, sidecar=not name.endswith(IMAGE_SUFFIX)):
        return refused
    path = await asyncio.to_thread(request.app[_CATALOGUE].file, name)
    if path is None and trouble.pages:
        return web.Response(text=_PAGE, content_type="text/html")
    if path is None:
        raise web.HTTPNotFound(text="there is no such image\n")
    async with _opened(path) as file:
        return await _send(request, file, trouble)


async def _trouble(request: web.Request) -> Trouble:
    return Trouble(await asyncio.to_thread(request.app[_FAULTS]))


def _refused(request: web.Request, trouble: Trouble, *, sidecar: bool) -> web.Response | None:
    if trouble.down:
        _abort(request)
        return web.Response()
    if status := trouble.status(sidecar=sidecar, continued="Range" in request.headers):
        return web.Response(status=status)
    if location := trouble.location(request.path):
        return web.Response(status=302, headers={"Location": location})
    return None


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
        trouble = await _trouble(request)
        rate = trouble.rate(request.app[_RATE])
        if trouble.down:
            _abort(request)
            return
        if trouble.cuts(position, size, asked):
            _hang_up(request)
            return
        if trouble.stalls(position, size, asked):
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(_POLL_S)
            continue
        stop = trouble.stop(position, part.stop, size)
        chunk = await asyncio.to_thread(file.read, min(rate // _CHUNKS_A_SECOND or _CHUNK, stop - position))
        if not chunk:  # the file became shorter: the client must not take what it has for the whole
            _abort(request)
            return
        await response.write(trouble.spoiled(chunk, position, size))
        position += len(chunk)
        if rate:
            await asyncio.sleep(len(chunk) / rate)


def _abort(request: web.Request) -> None:
    """What has been written, but not yet sent, is lost."""
    if request.transport:
        request.transport.abort()


def _hang_up(request: web.Request) -> None:
    """What has been written still arrives."""
    if request.transport:
        request.transport.close()
