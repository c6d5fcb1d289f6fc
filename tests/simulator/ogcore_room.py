"""An ogCore, what an operator does with it, and an agent that answers as the test says."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

SECRET = "0123456789abcdef"
JOB = "RestaurarImagen-dfa42888"
WEBHOOK = "/opengnsys/rest/clients/status/webhook"
STARTED = "/opengnsys/rest/ogagent/started"
STOPPED = "/opengnsys/rest/ogagent/stopped"
ORDER = {"image": "image-test", "disk": 1, "partition": "2"}
PROGRESS = {"nfn": "RestaurarImagen", "progress": 10, "phase": "fetching", "bytes": {"image": 5}, "rate": 1, "eta_s": 2}
ROW = {"disk": "1", "par": "0", "cpt": "2", "fsi": "", "soi": "", "tam": "100", "uso": "0"}
FINAL = {
    "nfn": "RESPUESTA_RestaurarImagen",
    "idi": "01936caf-facb-72ad-9446-97e7dbf2b96a",
    "dsk": "1",
    "par": "2",
    "ifs": "1",
    "res": "1",
    "der": "",
    "cfg": [ROW],
    "progress": 100,
    "ip": "127.0.0.1",
    "mac": "",
}

Members = dict[str, Any]


class FakeAgent:
    """Answers as it is told and remembers what it was asked. ``before_answer`` runs while ogCore waits."""

    def __init__(self) -> None:
        self.status: Members = {"status": "oglive", "loggedin": False}
        self.answer: tuple[int, Members | str] = (200, {"job_id": JOB})
        self.asked: list[tuple[str, str, str]] = []
        self.disks: Members = {"disks": [{"disk": 1, "size": 100, "partitions": []}]}
        self.check: Members = {"ok": True, "checks": [{"what": "Python", "state": "ok", "said": "3.11.2", "hint": ""}]}
        self.job: tuple[int, Members] = (404, {"error": "there is no such job"})
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/opengnsys/status", self._status)
        app.router.add_get("/disks", self._disks)
        app.router.add_get("/capabilities", self._check)
        app.router.add_get("/jobs/{job}", self._job)
        app.router.add_post("/CloningEngine/{call}", self._call)
        app.router.add_post("/plan", self._call)
        return app

    async def _disks(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, "", request.headers.get("Authorization", "")))
        return web.json_response(self.disks)

    async def _check(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, "", request.headers.get("Authorization", "")))
        return web.json_response(self.check)

    async def _job(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == SECRET
        status, members = self.job
        return web.json_response(members, status=status)

    async def _status(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        return web.json_response(self.status)

    async def _call(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.text(), request.headers.get("Authorization", "")))
        if self.before_answer:
            await self.before_answer()
        status, body = self.answer
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json")


class Room:
    """``ogcore`` is what an operator sees; the rest is what an agent does."""

    def __init__(self, ogcore: TestClient[web.Request, web.Application], agent: FakeAgent, fingerprint: str) -> None:
        self.ogcore = ogcore
        self.agent = agent
        self.fingerprint = fingerprint
        self.seq = 0

    async def get(self, path: str) -> Members:
        async with self.ogcore.get(path) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def post(self, path: str, members: object = None) -> tuple[int, Members]:
        async with self.ogcore.post(path, json=members) as response:
            return response.status, await response.json()

    async def tell(
        self, path: str, said: Members, *, secret: str = SECRET, body: bytes = b"", headers: Members | None = None
    ) -> tuple[int, Members]:
        """``body`` is for what is no JSON object."""
        body = json.dumps(said).encode() if said else body
        signature = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        all_headers = {"X-OgAgent-Signature": signature, "User-Agent": "python-requests/0 test", **(headers or {})}
        async with self.ogcore.post(path, data=body, headers=all_headers) as response:
            return response.status, await response.json()

    async def start(self, **changes: str) -> tuple[int, Members]:
        members = {"ip": "127.0.0.1", "mac": "", "secret": SECRET, "fingerprint": self.fingerprint, "ostype": "oglive"}
        return await self.tell(STARTED, members | changes)

    async def report(self, report: Members, **changes: Any) -> tuple[int, Members]:
        self.seq += 1
        numbered = {"job_id": JOB, "ids": "1", "seq": self.seq, "event_id": f"event-{self.seq}"}
        members = report | numbered | changes
        return await self.tell(WEBHOOK, members, headers={"X-OgAgent-Event": members["event_id"]})

    async def deploy(self, **changes: Any) -> tuple[int, Members]:
        return await self.post("/clients/pc1/deploy", ORDER | changes)

    async def trace(self, number: int = 1) -> Members:
        return await self.get(f"/traces/{number}")

    async def wait_for_state(self, state: str) -> None:
        async with asyncio.timeout(300):
            while (await self.get("/clients/pc1"))["state"] != state:  # noqa: ASYNC110 - REST has no events
                await asyncio.sleep(0.01)

    async def violations(self) -> list[str]:
        return [violation["what"] for violation in (await self.get("/violations"))["violations"]]
