"""``GET /metrics``, and where the calls count."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from ogagent.system.metrics import CONTENT_TYPE, Metrics

METRICS: Final[web.AppKey[Metrics]] = web.AppKey("metrics")
CODE: Final = web.ResponseKey("code", str)
"""Where a refusal's response says which it is."""


@web.middleware
async def count_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if code := response.get(CODE):
        request.app[METRICS].call_refused(code)
    return response


async def show_metrics(request: web.Request) -> web.Response:
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})
