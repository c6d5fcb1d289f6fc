"""PUT: a file comes, and has its name when all of it is on the disk, not before."""

from __future__ import annotations

import asyncio
import errno
import os

from aiohttp import web

from simulator.repository.exchange import POLL_S, RATE, STORE, abort, chunk_size, is_gone, trouble_of
from simulator.repository.store import Upload
from simulator.repository.writing import written


async def put(request: web.Request) -> web.Response:
    store = request.app[STORE]
    spot = await asyncio.to_thread(store.spot, request.match_info["name"])
    if "Content-Range" in request.headers or "Content-Encoding" in request.headers:
        raise web.HTTPBadRequest(text="a file is uploaded whole, and as it is\n")
    if spot.sidecar and (await trouble_of(request)).refuses_sidecars:
        return web.Response(status=500)
    if (request.content_length or 0) > await asyncio.to_thread(store.available):
        raise _full()
    upload = Upload(store, spot.path)
    try:
        await asyncio.to_thread(upload.begin)
        if not await _receive(request, upload):
            abort(request)
            return web.Response()
        if (await trouble_of(request)).keeps_half and not spot.sidecar:
            await asyncio.to_thread(upload.halve)
        return written(replaced=await asyncio.to_thread(upload.keep))
    finally:
        # At once, and to its end, however often this is cancelled.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, upload.drop))


async def _receive(request: web.Request, upload: Upload) -> bool:
    """False when the client is gone, or to be left alone. Raises OSError."""
    size = request.content_length
    while True:
        trouble = await trouble_of(request)
        position = upload.size
        if is_gone(request) or trouble.down or trouble.cuts_upload(position, size):
            return False
        if trouble.is_full(position, size):
            raise _full()
        if trouble.stalls_upload(position, size):
            await asyncio.sleep(POLL_S)
            continue
        rate = trouble.upload_rate(request.app[RATE])
        try:
            chunk = await request.content.read(trouble.upload_stop(position, chunk_size(rate), size))
        except (ConnectionError, web.RequestPayloadError):
            return False
        if not chunk:
            return True
        await asyncio.to_thread(upload.write, trouble.stored(chunk, position, size))
        if rate:
            await asyncio.sleep(len(chunk) / rate)


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
