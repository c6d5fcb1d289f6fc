"""ogCore's calls to the agents of its clients. An agent is known by the fingerprint of its certificate."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from simulator.ogcore.checks import CheckView
from simulator.ogcore.clients import Client
from simulator.ogcore.views import DiskView, JobView

_CALL_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=3)
_PLAN_TIMEOUT: Final = aiohttp.ClientTimeout(total=20, sock_connect=3)
_STATUS_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
_LONGEST_ANSWER: Final = 1 << 18
GARBLED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises for JSON that cannot be read; the last one for JSON that is nested too deeply."""

T = TypeVar("T")


class Status(Struct, frozen=True):
    status: str
    loggedin: bool = False


class DiskList(Struct, frozen=True):
    disks: tuple[DiskView, ...]


class Answer(Struct, frozen=True):
    """``members`` are those of the JSON object that the agent sent, none when it sent something else."""

    status: int
    members: dict[str, Any]


class Unreachable(Exception):
    """The agent did not answer. The message says why, for a person."""


class Agents:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def status(self, client: Client) -> Status:
        """Raises Unreachable, also for an answer that is none."""
        answer = await self._call(client, "GET", "/opengnsys/status", None, _STATUS_TIMEOUT)
        try:
            return msgspec.convert(answer.members, Status)
        except msgspec.ValidationError as error:
            raise Unreachable(f"{client.name} answers nonsense: {error}") from None

    async def call(self, client: Client, function: str, members: Mapping[str, Any]) -> Answer:
        return await self._call(client, "POST", f"/CloningEngine/{function}", members, _CALL_TIMEOUT)

    async def kill(self, client: Client, job_id: str) -> Answer:
        return await self._call(client, "POST", "/CloningEngine/KillJob", {"job_id": job_id}, _CALL_TIMEOUT)

    async def plan(self, client: Client, members: Mapping[str, Any]) -> Answer:
        return await self._call(client, "POST", "/plan", members, _PLAN_TIMEOUT)

    async def disks(self, client: Client) -> tuple[DiskView, ...]:
        return (await self._look(client, "/disks", DiskList)).disks

    async def check(self, client: Client) -> CheckView:
        return await self._look(client, "/capabilities", CheckView)

    async def job(self, client: Client, job_id: str) -> JobView:
        return await self._look(client, f"/jobs/{job_id}", JobView)

    async def _look(self, client: Client, path: str, kind: type[T]) -> T:
        """Raises Unreachable, also for an answer that is none."""
        answer = await self._call(client, "GET", path, None, _CALL_TIMEOUT, secret=True)
        try:
            return msgspec.convert(answer.members, kind)
        except msgspec.ValidationError as error:
            said = answer.members.get("error") or error
            raise Unreachable(f"{client.name} cannot tell at {path}: {said}") from None

    async def _call(
        self,
        client: Client,
        method: str,
        path: str,
        members: Mapping[str, Any] | None,
        timeout: aiohttp.ClientTimeout,
        *,
        secret: bool = False,
    ) -> Answer:
        agent = client.agent
        if agent is None:
            raise Unreachable(f"{client.name} is off")
        url = f"https://{client.ip}:{client.port}{path}"
        # The state of a client is for everybody to ask; the secret goes out only where it is needed.
        headers = {"Authorization": agent.secret} if secret or members is not None else {}
        try:
            request = self._session.request(
                method,
                url,
                json=members,
                headers=headers,
                ssl=_pin(agent.fingerprint),
                timeout=timeout,
                allow_redirects=False,
            )
            async with request as response:
                return Answer(response.status, _members(await _read(response)))
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:  # TimeoutError is an OSError
            where = f"{client.ip}:{client.port}"
            raise Unreachable(f"{client.name} does not answer at {where}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Of a call that failed, for a person: aiohttp's own words for what the system said show its objects."""
    cause = getattr(error, "os_error", error)
    system = cause.strerror if isinstance(cause, OSError) else None
    return system or str(cause) or type(cause).__name__


def pinnable(fingerprint: str) -> bytes | None:
    """The SHA-256 in ``fingerprint``, hexadecimal with or without colons."""
    try:
        digest = bytes.fromhex(fingerprint.replace(":", ""))
    except ValueError:
        return None
    return digest if len(digest) == 32 else None


@lru_cache(maxsize=256)
def _pin(fingerprint: str) -> aiohttp.Fingerprint:
    """The same object for the same certificate, or else no connection would be used twice."""
    digest = pinnable(fingerprint)
    if digest is None:
        raise Unreachable("the agent's certificate has no fingerprint that can be used")
    return aiohttp.Fingerprint(digest)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """At most so much as an answer may be; the rest is not waited for."""
    body = bytearray()
    while len(body) < _LONGEST_ANSWER and (piece := await response.content.read(_LONGEST_ANSWER)):
        body += piece
    return bytes(body)


def _members(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except GARBLED:
        return {}
