"""A repository that answers as the test says, and remembers what it was asked to put back."""

from __future__ import annotations

from typing import Any

from aiohttp import web

TOKEN = "t0ken-of-the-repository"
LIST = "/ogrepository/images"

Members = dict[str, Any]


class FakeRepository:
    """``images`` by name. ``refuses`` is the status of what it does not put back, ``answer`` is told in its place.

    One that is ``down`` hangs up.
    """

    def __init__(self) -> None:
        self.images: dict[str, Members] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuses = 0
        self.answer: str | None = None
        self.down = False

    def has(self, name: str, size: int, **more: object) -> None:
        entry = {"name": name, "state": "ok", "reason": "", "size": size, "container": "zstd", "info": ""}
        self.images[name] = entry | {"format": "partclone 0002", "modified": "2026-11-24T10:00:00+00:00"}
        self.images[name] |= {"previous": None, "locked": False, **more}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(LIST, self._list)
        app.router.add_post(LIST + "/{name:.+}.img/put-back", self._put_back)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        self._hang_up_when_down(request)
        return web.json_response({"images": list(self.images.values())})

    async def _put_back(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self._hang_up_when_down(request)
        self.asked.append((name, request.headers.get("Authorization", "")))
        if self.refuses:
            return web.Response(status=self.refuses, text="no\n")
        if self.answer is not None:
            return web.Response(text=self.answer)
        image = self.images[name]
        before, now = image["previous"], {"size": image["size"], "modified": image["modified"]}
        image.update(size=before["size"], modified=before["modified"], previous=now)
        return web.json_response(image)

    def _hang_up_when_down(self, request: web.Request) -> None:
        if self.down and request.transport:
            request.transport.abort()
