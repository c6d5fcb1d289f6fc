"""Sessions at the repository, in which one image goes to many clients at once: begun for a room, and ended after it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Annotated, Any, Final

import aiohttp
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from simulator.ogcore.agents import GARBLED, reason
from simulator.ogcore.images import RepositoryUnreachable, host_of
from simulator.ogcore.traces import Traces

ENGINES: Final = {
    **dict.fromkeys(("multicast", "multicast-cache", "multicast-direct"), "udpcast"),
    **dict.fromkeys(("udpcast", "udpcast-cache", "udpcast-direct"), "udpcast"),
    **dict.fromkeys(("uftp", "uftp-cache", "uftp-direct"), "uftp"),
    **dict.fromkeys(("p2p", "p2p-cache", "torrent", "torrent-cache"), "p2p"),
}
"""By method. One with options of its own is for a session that somebody else has begun."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=300, sock_connect=3)
"""The first time, the repository reads the whole image to make its .torrent."""
_LONGEST_ANSWER: Final = 1 << 16
_CREATED: Final = 201
_NOT_FOUND: Final = 404
_MOST_TRIES: Final = 120
_FACTS: Final = ("error", "field", "hint")


class SessionOptions(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """As the repository takes them, and it says what is wrong with them; what is left out is for it to choose."""

    port: int | UnsetType = UNSET
    address: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    speed: int | Annotated[str, Meta(max_length=16)] | UnsetType = UNSET
    clients: int | UnsetType = UNSET
    wait: int | UnsetType = UNSET


class Session(Struct, frozen=True):
    """``method`` is what the agents are told."""

    id: str
    engine: str
    method: str


class SessionRefused(Exception):
    """``said`` has the repository's ``error``, and its ``field`` and ``hint``."""

    def __init__(self, status: int, said: dict[str, str]) -> None:
        super().__init__(said["error"])
        self.status = status
        self.said = said


class Sessions:
    """Those that this ogCore has begun and not ended yet. One that has been restarted does not know them: they end by
    themselves.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None, token: str = "") -> None:
        self._session = session
        self._host = host_of(url)
        self._url = f"{url.rstrip('/')}/ogrepository/v1"
        self._tls = tls
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._running: dict[str, tuple[Session, Sequence[str]]] = {}
        self._tries: dict[str, int] = {}

    async def begin(self, method: str, image: str, options: SessionOptions) -> Session:
        """Raises RepositoryUnreachable, or SessionRefused."""
        members = {**msgspec.to_builtins(options), "image": image}
        status, said = await self._call("POST", f"/{ENGINES[method]}", members)
        if status != _CREATED:
            raise SessionRefused(status, self._words(status, said))
        try:
            session = msgspec.convert(said, Session)
        except msgspec.ValidationError as error:
            raise self._unreachable(error) from None
        return replace(session, method=f"{method} {session.method.partition(' ')[2]}")

    def watch(self, session: Session, traces: Sequence[str]) -> None:
        """It is ended when all of these have ended; at once, when there are none."""
        self._running[session.id] = (session, traces)

    async def end_those_left(self, traces: Traces) -> None:
        """By all of their clients."""
        for session, numbers in list(self._running.values()):
            found = (traces.numbered(number) for number in numbers)
            if all(trace is None or trace.ended for trace in found):
                await self._end(session)

    async def _end(self, session: Session) -> None:
        """A repository that does not answer is asked again, for a while."""
        self._tries[session.id] = self._tries.get(session.id, 0) + 1
        try:
            await self._call("DELETE", f"/{session.engine}/{session.id}", None)
        except RepositoryUnreachable:
            if self._tries[session.id] < _MOST_TRIES:
                return
        del self._running[session.id], self._tries[session.id]

    async def _call(self, method: str, path: str, members: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """What is said is empty where it is no JSON object."""
        try:
            call = self._session.request(
                method,
                self._url + path,
                json=members,
                headers=self._headers,
                ssl=self._tls or True,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
            async with call as response:
                body = await response.content.read(_LONGEST_ANSWER)
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from None
        try:
            return response.status, msgspec.json.decode(body, type=dict[str, Any])
        except GARBLED:
            return response.status, {}

    def _words(self, status: int, said: dict[str, Any]) -> dict[str, str]:
        facts = {name: str(said[name]) for name in _FACTS if said.get(name)}
        if "error" in facts:
            return facts | {"error": f"the repository refuses the session: {facts['error']}"}
        if status == _NOT_FOUND:
            return {"error": "the repository has no sessions", "hint": "start it with --crowd, or deploy by unicast"}
        return {"error": f"the repository answered {status} when it was asked for a session"}

    def _unreachable(self, error: Exception) -> RepositoryUnreachable:
        return RepositoryUnreachable(f"the repository {self._host} does not answer: {reason(error)}")
