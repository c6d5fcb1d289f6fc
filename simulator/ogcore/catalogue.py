"""The images over REST: what the repository has, and what ogCore knows of how it came to be."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from simulator.ogcore.answers import BAD_GATEWAY, CONFLICT, as_json, error
from simulator.ogcore.captures import NAME
from simulator.ogcore.created import CreatedImages
from simulator.ogcore.images import Image, Images, RepositoryRefused, RepositoryUnreachable
from simulator.ogcore.store import Store
from simulator.ogcore.views import ImageView

_NOT_FOUND: Final = 404
_SAID: Final = {
    _NOT_FOUND: "the repository has no previous version of {name}",
    CONFLICT: "{name} is being worked on; try again when that has ended",
    401: "the repository does not accept the token that ogCore has",
    403: "the repository does not accept the token that ogCore has",
}
"""By the status with which the repository refuses."""


class Catalogue:
    def __init__(self, images: Images, created: CreatedImages, store: Store) -> None:
        self._images = images
        self._created = created
        self._store = store

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/images", self._list)
        app.router.add_post("/images/{name:.+}/put-back", self._put_back)

    async def _list(self, request: web.Request) -> web.Response:
        """Those that can be deployed; with ``?corrupt=1`` the others, too."""
        try:
            images = await self._images.all()
        except RepositoryUnreachable as why:
            return error(BAD_GATEWAY, str(why))
        everything = request.query.get("corrupt") == "1"
        return as_json({"images": [self._view(image) for image in images if image.offered or everything]})

    async def _put_back(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not self._images.can_put_back:
            return error(CONFLICT, "ogCore has no token for the repository", hint="start it with --token-file")
        if not re.search(NAME, name):
            return error(_NOT_FOUND, f"the repository has no image {name}")
        try:
            image = await self._images.put_back(name)
        except RepositoryRefused as why:
            text = _SAID.get(why.status, f"the repository answered {why.status}").format(name=name)
            return error(why.status if why.status in {_NOT_FOUND, CONFLICT} else BAD_GATEWAY, text)
        except RepositoryUnreachable as why:
            return error(BAD_GATEWAY, str(why))
        self._created.put_back(image.id)
        await self._store.save_image(image.id, self._created)
        return as_json(self._view(image))

    def _view(self, image: Image) -> ImageView:
        created = self._created.in_place(image.id, image.size)
        return image.view(created, can_put_back=self._images.can_put_back)
