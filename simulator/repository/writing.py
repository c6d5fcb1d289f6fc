"""Changing what the repository holds, as the WebDAV of nginx and Apache does it."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from simulator.repository.dav import demand_depth_0, destination, multistatus, overwrites
from simulator.repository.exchange import CATALOGUE, STORE, trouble_of
from simulator.repository.names import IMAGE_SUFFIX, Spot

_ELSEWHERE: Final = "elsewhere-"


async def move(request: web.Request) -> web.Response:
    source, target = await _spot(request, request.match_info["name"]), await _spot(request, destination(request))
    trouble = await trouble_of(request)
    if trouble.ignores_moves:
        return web.Response(status=204)
    path, overwrite = target.path, overwrites(request)
    if trouble.moves_elsewhere:
        path = path.with_name(_ELSEWHERE + path.name)
    replaced = await asyncio.to_thread(request.app[STORE].move, source.path, path, overwrite=overwrite)
    return written(replaced=replaced)


async def copy(request: web.Request) -> web.Response:
    source, target = await _spot(request, request.match_info["name"]), await _spot(request, destination(request))
    overwrite = overwrites(request)
    replaced = await asyncio.to_thread(request.app[STORE].copy, source.path, target.path, overwrite=overwrite)
    return written(replaced=replaced)


async def delete(request: web.Request) -> web.Response:
    spot = await _spot(request, request.match_info["name"])
    await asyncio.to_thread(request.app[STORE].delete, spot.path)
    return web.Response(status=204)


async def put_back(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    spot = await _spot(request, name)
    if not name.endswith(IMAGE_SUFFIX):
        raise web.HTTPForbidden(text="only an image has a previous version\n")
    await asyncio.to_thread(request.app[STORE].put_back, spot.path)
    image = await asyncio.to_thread(request.app[CATALOGUE].image, name.removesuffix(IMAGE_SUFFIX))
    if image is None:
        raise web.HTTPNotFound(text="there is no such image any more\n")
    return web.json_response(body=msgspec.json.encode(image))


async def propfind(request: web.Request) -> web.Response:
    demand_depth_0(request)
    store, name = request.app[STORE], request.match_info.get("name", "")
    folder = await asyncio.to_thread(store.folder, name.removesuffix("/"))
    if folder is None and await asyncio.to_thread(request.app[CATALOGUE].file, name) is None:
        raise web.HTTPNotFound(text="there is nothing of this name\n")
    available = await asyncio.to_thread(store.available)
    return multistatus(request.path, collection=folder is not None, available=available)


def written(*, replaced: bool) -> web.Response:
    return web.Response(status=204 if replaced else 201)


async def _spot(request: web.Request, name: str) -> Spot:
    return await asyncio.to_thread(request.app[STORE].spot, name)
