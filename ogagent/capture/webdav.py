"""A repository that is a web server: WebDAV (RFC 4918) as nginx and Apache speak it, over https."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from ogagent.capture.store import Look, StorePolicy, UploadBroken
from ogagent.errors import ImageLocked, RepositoryFull, RepositoryUnreachable
from ogagent.source.answer import PASSING, Passing, next_bytes, reason, refuse_hopeless
from ogagent.source.download import Patience
from ogagent.source.http import open_session, silence
from ogagent.source.resolver import check_host
from ogagent.source.source import SourcePolicy
from ogagent.system.patience import in_thread

T = TypeVar("T")

_ANSWER_S: Final = 3600.0
"""How long a server may be silent that copies an image, or brings one to its disk."""
_DONE: Final = (200, 201, 204)
_NOT_THERE: Final = (404, 410)
_MULTISTATUS: Final = 207
_NO_DIRECTORY: Final = 409
_QUICK: Final = ("HEAD", "GET", "PUT", "PROPFIND", "MKCOL")
"""As long as it is no image that is put."""
_PIECE: Final = 256 << 10
"""What a server must take in time: a slow one is not one that stalls."""
_AVAILABLE: Final = re.compile(rb"quota-available-bytes[^>]*>\s*([0-9]{1,18})\s*<")
_MOST: Final = 64 << 10
_LONGEST_CREDENTIAL: Final = 4096
_ASK_FOR_ROOM: Final = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><quota-available-bytes/></prop></propfind>'  # RFC 4331
)
_CHECK: Final = "check what the repository's web server allows: PUT, MOVE, COPY and DELETE, and for whom"
_WORDS: Final = {
    401: "wants to know who is there",
    403: "does not allow it",
    404: "has no such file or directory",
    405: "takes no images: it does not know WebDAV here",
    409: "has no such directory",
    411: "takes nothing of which it is not told the length before",
    413: "takes no file of that size",
    501: "takes no images: it does not know WebDAV",
    **dict.fromkeys((301, 302, 303, 307, 308), "sends this machine elsewhere, which is not followed"),
}
_AS_FULL: Final = ", as nginx does when its disk is full"
_SEE_CREDENTIAL: Final = "see capture.credential_file: one line, what stands behind Bearer"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,1024}=*")  # RFC 6750, 2.1
_HINTS: Final = {
    401: _SEE_CREDENTIAL,
    403: _SEE_CREDENTIAL,
    413: "let its web server take larger ones: client_max_body_size 0 in nginx, LimitRequestBody 0 in Apache",
}


@asynccontextmanager
async def open_webdav(directory: URL, policy: StorePolicy) -> AsyncIterator[WebDav]:
    """Nothing has been asked yet when this yields."""
    source = policy.source
    check_host(directory, source.networks)
    token = await in_thread(_token, policy.token_file) if policy.token_file else ""
    async with open_session(source.tls, source.networks, source.stall_timeout_s) as session:
        yield WebDav(session, directory, source, token)


def _token(path: str) -> str:
    """Read each time, so that it can be changed while the agent runs."""
    try:
        with Path(path).open("rb") as file:
            token = file.read(_LONGEST_CREDENTIAL).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds more than ASCII"
        raise RepositoryUnreachable(f"{path} cannot be read: {reason}", hint=_SEE_CREDENTIAL) from error
    if not _TOKEN.fullmatch(token):
        raise RepositoryUnreachable(f"{path} holds no token", hint=_SEE_CREDENTIAL)
    return token


class WebDav:
    """Implements ``ogagent.capture.store.Store``. No redirect is followed: nobody else gets the image, or the token."""

    def __init__(self, session: aiohttp.ClientSession, directory: URL, policy: SourcePolicy, token: str) -> None:
        self._session = session
        self._directory = directory
        self._policy = policy
        self._token = token

    def url(self, name: str) -> str:
        return str(self._directory / name)

    async def look(self, name: str) -> Look | None:
        async def look() -> Look | None:
            async with self._request("HEAD", name) as response:
                if response.status in _NOT_THERE:
                    return None
                self._refuse(response.status, name)
                tag = response.headers.get("ETag", "") or response.headers.get("Last-Modified", "")
                strong = tag.removeprefix("W/")  # Apache's is weak while the file is new, and strong from then on
                return Look(response.content_length or 0, strong)

        return await self._patiently(name, look)

    async def read(self, name: str, most: int) -> bytes | None:
        async def read() -> bytes | None:
            async with self._request("GET", name) as response:
                if response.status in _NOT_THERE:
                    return None
                self._refuse(response.status, name)
                return await self._beginning(response, most)

        return await self._patiently(name, read)

    async def room(self) -> int | None:
        """A server need not know PROPFIND, nor allow it."""

        async def ask() -> int | None:
            headers = {"Depth": "0", "Content-Type": "application/xml"}
            async with self._request("PROPFIND", "", data=_ASK_FOR_ROOM, headers=headers) as response:
                if response.status in PASSING:
                    self._refuse(response.status, "")
                if response.status != _MULTISTATUS:
                    return None
                found = _AVAILABLE.search(await self._beginning(response, _MOST))
                return int(found[1]) if found else None

        return await self._patiently("", ask)

    async def stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        try:
            async with asyncio.timeout(None) as limit:
                body = _Watched(chunks, limit, self._policy.stall_timeout_s)
                async with self._request("PUT", name, data=body) as response:
                    self._refuse(response.status, name)
        except (Passing, aiohttp.ClientError, TimeoutError) as error:
            refuse_hopeless(error, self._directory / name)
            raise UploadBroken(reason(error)) from error

    async def put(self, name: str, content: bytes) -> None:
        """nginx makes the directory by itself, Apache when it is asked to."""

        async def put() -> None:
            async with asyncio.timeout(self._policy.stall_timeout_s * (2 + len(content) // _PIECE)):
                async with self._request("PUT", name, data=BytesIO(content)) as response:
                    if response.status != _NO_DIRECTORY:
                        return self._refuse(response.status, name)
                async with self._request("MKCOL", ""):
                    pass  # whatever it answers: the next one tells
                return await self._do("PUT", name, data=BytesIO(content))

        await self._patiently(name, put)

    async def move(self, name: str, to: str) -> None:
        """When an answer was lost, what is there says whether it was done."""
        lost = False

        async def move() -> None:
            nonlocal lost
            try:
                await self._do("MOVE", name, headers=self._to(to))
            except (aiohttp.ClientError, TimeoutError):
                lost = True
                raise
            except RepositoryUnreachable:
                if not lost or await self.look(name) is not None or await self.look(to) is None:
                    raise

        await self._patiently(name, move)

    async def copy(self, name: str, to: str) -> None:
        await self._patiently(name, lambda: self._do("COPY", name, headers=self._to(to)))

    async def remove(self, name: str) -> None:
        await self._patiently(name, lambda: self._do("DELETE", name, good=(*_DONE, *_NOT_THERE)))

    def _to(self, name: str) -> dict[str, str]:
        return {"Destination": self.url(name), "Overwrite": "T"}

    async def _do(
        self,
        method: str,
        name: str,
        *,
        headers: dict[str, str] | None = None,
        data: BytesIO | None = None,
        good: tuple[int, ...] = _DONE,
    ) -> None:
        async with self._request(method, name, headers=headers, data=data) as response:
            self._refuse(response.status, name, good=good)

    def _request(
        self,
        method: str,
        name: str,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | BytesIO | _Watched | None = None,
    ) -> aiohttp.client._RequestContextManager:
        """``name`` empty: of the directory."""
        quick = method in _QUICK and not isinstance(data, _Watched)
        always = {"Accept-Encoding": "identity"}
        if self._token:
            always["Authorization"] = f"Bearer {self._token}"
        return self._session.request(
            method,
            self._directory / name,
            data=data,
            headers={**always, **(headers or {})},
            allow_redirects=False,
            timeout=silence(self._policy.stall_timeout_s if quick else _ANSWER_S),
        )

    def _refuse(self, status: int, name: str, good: tuple[int, ...] = _DONE) -> None:
        if status in good:
            return
        url = self.url(name)
        if status == 507:
            raise RepositoryFull(f"{url}: the repository has no room for it", hint="make room there, and ask again")
        if status == 423:
            raise ImageLocked(f"{url} is locked in the repository", hint="wait until the work on it has ended")
        if status in PASSING:
            raise Passing(f"it answers {status}{_AS_FULL if status == 500 else ''}")
        words = _WORDS.get(status, f"answers {status}")
        raise RepositoryUnreachable(f"{url}: the repository {words}", hint=_HINTS.get(status, _CHECK))

    async def _beginning(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        found, silence_s = bytearray(), self._policy.stall_timeout_s
        while len(found) < most and (chunk := await next_bytes(response, most - len(found), silence_s)):
            found += chunk
        return bytes(found)

    async def _patiently(self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        patience = Patience(self._directory / name, self._policy.retry_for_s, lambda: None)
        while True:
            try:
                return await ask()
            except (Passing, aiohttp.ClientError, TimeoutError) as error:
                await patience.pause(error)


class _Watched:
    """The server must take each piece in time. How long the next chunk takes to come is not its affair."""

    def __init__(self, chunks: AsyncIterator[bytes], limit: asyncio.Timeout, stall_s: float) -> None:
        self._chunks = chunks
        self._limit = limit
        self._stall_s = stall_s
        self._left = memoryview(b"")

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> memoryview:
        while not self._left:
            self._limit.reschedule(None)
            try:
                self._left = memoryview(await anext(self._chunks))
            except StopAsyncIteration:
                self._expect_within(_ANSWER_S)
                raise
        self._expect_within(self._stall_s)
        piece, self._left = self._left[:_PIECE], self._left[_PIECE:]
        return piece

    def _expect_within(self, seconds: float) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time() + seconds)
