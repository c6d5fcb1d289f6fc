"""What stands before every call that changes something: faults, the token, and what the disk says afterwards."""

from __future__ import annotations

import errno
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.repository.crowd.rest import PREFIX as SESSIONS
from simulator.repository.exchange import ACCESS, refused, trouble_of

_READING: Final = {"GET", "HEAD", "OPTIONS"}
_STATUS: Final = {
    errno.ENOENT: 404,
    errno.ENOTDIR: 409,
    errno.EISDIR: 409,
    errno.EBUSY: 409,
    errno.EEXIST: 412,
    errno.ENOSPC: 507,
    errno.EDQUOT: 507,
    errno.EACCES: 403,
    errno.EPERM: 403,
    errno.EROFS: 403,
}


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who writes is refused here, or by what the disk says. What is left of an upload then is not waited for."""
    if request.method in _READING:
        return await handler(request)
    try:
        response = await _refusal(request) or await handler(request)
    except web.HTTPException as refusal:
        if not request.content.is_eof():
            refusal.force_close()
        raise
    except OSError as error:
        response = web.Response(status=_STATUS.get(error.errno or 0, 500), text=f"{error.strerror}\n")
    if not request.content.is_eof():
        response.force_close()
    return response


async def expected(request: web.Request) -> web.StreamResponse | None:
    """Whoever asks before an upload (Expect: 100-continue) is refused before it."""
    if refusal := await _refusal(request):
        return refusal
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # aiohttp: the answer itself has not begun
    return None


async def _refusal(request: web.Request) -> web.Response | None:
    trouble = await trouble_of(request)
    if refusal := refused(request, trouble, sidecar=False):
        return refusal
    access = request.app[ACCESS]
    if not (access.is_open and request.path.startswith(SESSIONS)):
        access.demand(request)
    return web.Response(status=trouble.write_status) if trouble.write_status else None
