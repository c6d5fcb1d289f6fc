"""The console's only source: ogCore's REST interface, over HTTPS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from simulator.ogcore.agents import GARBLED, reason
from simulator.ogcore.checks import CheckView
from simulator.ogcore.views import (
    Accepted,
    Cancelled,
    CapturePlan,
    ClientList,
    ClientView,
    HardwareView,
    ImageList,
    ImageView,
    InventoryView,
    Refused,
    RoomAnswer,
    SoftwareList,
    SoftwareView,
    TraceDetails,
    TraceList,
    TraceView,
)

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=3)
_ROOM_TIMEOUT: Final = aiohttp.ClientTimeout(total=330, sock_connect=3)
"""The first time that an image goes by p2p, the repository reads it first."""
_LONGEST_ANSWER: Final = 1 << 24

T = TypeVar("T")


class OgCoreAway(Exception):
    """ogCore does not answer, or not in a way that can be understood. The message is for a person."""


class Refusal(Exception):
    """ogCore, or the agent behind it, said no."""

    def __init__(self, status: int, said: Refused) -> None:
        super().__init__(said.error)
        self.status = status
        self.said = said


class OgCore:
    def __init__(self, session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext) -> None:
        self._session = session
        self._url = url
        self._tls = tls

    async def clients(self) -> tuple[ClientView, ...]:
        return (await self._get("/clients", ClientList)).clients

    async def client(self, name: str) -> ClientView:
        return await self._get(f"/clients/{quote(name)}", ClientView)

    async def disks(self, name: str) -> InventoryView:
        return await self._get(f"/clients/{quote(name)}/disks", InventoryView)

    async def check(self, name: str) -> CheckView:
        return await self._get(f"/clients/{quote(name)}/check", CheckView)

    async def hardware(self, name: str) -> HardwareView:
        return await self._get(f"/clients/{quote(name)}/hardware", HardwareView)

    async def software(self, name: str) -> tuple[SoftwareView, ...]:
        return (await self._get(f"/clients/{quote(name)}/software", SoftwareList)).software

    async def images(self) -> tuple[ImageView, ...]:
        return (await self._get("/images?corrupt=1", ImageList)).images

    async def traces(self, wanted: Mapping[str, str]) -> tuple[TraceView, ...]:
        return (await self._get("/traces", TraceList, wanted)).traces

    async def trace(self, number: str) -> TraceDetails:
        return await self._get(f"/traces/{quote(number)}", TraceDetails)

    async def deploy_to_room(self, order: Mapping[str, Any]) -> RoomAnswer:
        return await self._post("/deploy", RoomAnswer, order, timeout=_ROOM_TIMEOUT)

    async def plan(self, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
        return await self._post(f"/clients/{quote(name)}/plan", dict[str, Any], order)

    async def create_image(self, name: str, order: Mapping[str, Any]) -> Accepted:
        return await self._post(f"/clients/{quote(name)}/create-image", Accepted, order)

    async def plan_image(self, name: str, order: Mapping[str, Any]) -> CapturePlan:
        return await self._post(f"/clients/{quote(name)}/create-image/plan", CapturePlan, order)

    async def put_back(self, image: str) -> ImageView:
        return await self._post(f"/images/{quote(image)}/put-back", ImageView)

    async def command(self, name: str, command: Mapping[str, Any]) -> Accepted:
        return await self._post(f"/clients/{quote(name)}/command", Accepted, command)

    async def plan_command(self, name: str, command: Mapping[str, Any]) -> dict[str, Any]:
        return await self._post(f"/clients/{quote(name)}/command/plan", dict[str, Any], command)

    async def cancel(self, number: str) -> Cancelled:
        return await self._post(f"/traces/{quote(number)}/cancel", Cancelled)

    async def retry(self, number: str) -> Accepted:
        return await self._post(f"/traces/{quote(number)}/retry", Accepted)

    async def _get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return await self._call("GET", path, kind, params=query)

    async def _post(self, path: str, kind: type[T], members: Mapping[str, Any] | None = None, **more: Any) -> T:
        return await self._call("POST", path, kind, json=members, **more)

    async def _call(self, method: str, path: str, kind: type[T], **more: Any) -> T:
        try:
            call = self._session.request(method, self._url + path, ssl=self._tls, **{"timeout": _TIMEOUT, **more})
            async with call as response:
                body = await _read(response)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise OgCoreAway(reason(error)) from None
        try:
            if response.status >= 400:
                raise Refusal(response.status, msgspec.json.decode(body, type=Refused))
            return msgspec.json.decode(body, type=kind)
        except GARBLED as error:
            raise OgCoreAway(f"ogCore answered {response.status} with something that cannot be read: {error}") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < _LONGEST_ANSWER and (piece := await response.content.read(_LONGEST_ANSWER)):
        body += piece
    return bytes(body)
