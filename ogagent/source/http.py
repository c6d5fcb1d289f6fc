"""An image over HTTP. A connection that breaks is continued where it broke, as long as the file is still the same."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final

import aiohttp
from msgspec import Struct
from yarl import URL

from ogagent.errors import ImageChanged, ImageCorrupt, ImageNotFound, InternalError, RepositoryUnreachable
from ogagent.model.units import MIB
from ogagent.source.resolver import AllowedResolver, Networks, check_literal

_log: Final = logging.getLogger(__name__)

_MAX_REDIRECTS: Final = 3
_SIDECAR_LIMIT: Final = 4096
_CONNECT_TIMEOUT_S: Final = 10
_FIRST_DELAY_S: Final = 0.5
_MAX_DELAY_S: Final = 15.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)


class _Validators(Struct, frozen=True):
    """What must stay the same for a file to be the same file."""

    size: int | None
    etag: str | None
    modified: str | None

    def agrees_with(self, other: _Validators) -> bool:
        """An answer may leave the length open."""
        same_size = None in (self.size, other.size) or self.size == other.size
        return same_size and (self.etag, self.modified) == (other.etag, other.modified)


class _Passing(Exception):
    """A failure that may be gone at the next attempt."""


@asynccontextmanager
async def open_http(
    url: URL,
    *,
    tls: SSLContext,
    networks: Networks | None,
    stall_timeout_s: float,
    retry_for_s: float,
    on_retry: Callable[[], None],
) -> AsyncIterator[HttpSource]:
    """The first answer has come when this yields, so that size and existence are known."""
    resolver = None if networks is None else AllowedResolver(networks)
    connector = aiohttp.TCPConnector(ssl=tls, resolver=resolver, limit=2)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=stall_timeout_s)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, read_bufsize=MIB, trust_env=False
    ) as session:
        source = HttpSource(session, url, networks, retry_for_s, on_retry)
        try:
            await source.connect()
            yield source
        finally:
            source.disconnect()


class HttpSource:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        networks: Networks | None,
        retry_for_s: float,
        on_retry: Callable[[], None],
    ) -> None:
        self._session = session
        self._url = url
        self._networks = networks
        self._retry_for_s = retry_for_s
        self._on_retry = on_retry
        self._response: aiohttp.ClientResponse | None = None
        self._file: _Validators | None = None
        self._position = 0
        self._silent_since: float | None = None
        self._delay = _FIRST_DELAY_S

    @property
    def size(self) -> int | None:
        return self._file.size if self._file else None

    async def connect(self) -> None:
        """Asks for what has not come yet, again and again until ``retry_for_s`` is over."""
        while True:
            try:
                self._response = await self._ask()
            except (_Passing, aiohttp.ClientError, TimeoutError) as error:
                _refuse_hopeless(error, self._url)
                await self._pause(_reason(error))
            else:
                return

    async def _pause(self, reason: str) -> None:
        """A longer one each time, until bytes come. Raises RepositoryUnreachable when ``retry_for_s`` would be over."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since, self._delay = now, _FIRST_DELAY_S
        if now + self._delay > self._silent_since + self._retry_for_s:
            raise RepositoryUnreachable(
                f"{self._url} could not be reached for {self._retry_for_s:.0f} s: {reason}",
                hint="check that the repository runs and that this machine reaches it",
            )
        _log.warning("%s: %s; trying again in %.1f s", self._url, reason, self._delay)
        self._on_retry()
        await asyncio.sleep(self._delay * random.uniform(0.75, 1.25))  # noqa: S311 - so that a room does not knock as one
        self._delay = min(2 * self._delay, _MAX_DELAY_S)

    def disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            before = self._position
            try:
                async for chunk in self._received():
                    self._position += len(chunk)
                    self._silent_since = None
                    yield chunk
                if self.size is None or self._position >= self.size:
                    return
                reason = f"it ended after {self._position} of {self.size} bytes"
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = _reason(error)
            self.disconnect()
            if self._position > before:
                _log.warning("%s: broken at byte %d (%s); continuing there", self._url, self._position, reason)
                self._on_retry()
            else:
                await self._pause(reason)
            await self.connect()

    async def sidecar(self, suffix: str) -> bytes | None:
        """A server that does not answer is asked again: what lies there may be a lock."""
        url = self._url.with_path(self._url.path + suffix)
        while True:
            try:
                return await self._read_small(url)
            except (_Passing, aiohttp.ClientError, TimeoutError) as error:
                _refuse_hopeless(error, url)
                await self._pause(_reason(error))

    async def _read_small(self, url: URL) -> bytes | None:
        response = await self._follow(url, {})
        try:
            if response.status in _PASSING:
                raise _Passing(f"it answers {response.status}")
            return await response.content.readexactly(_SIDECAR_LIMIT) if response.status == 200 else None
        except asyncio.IncompleteReadError as whole:
            return whole.partial
        finally:
            response.close()

    async def _received(self) -> AsyncIterator[bytes]:
        if self._response is None:
            raise InternalError("chunks() came before connect()")
        room = None if self.size is None else self.size - self._position
        async for chunk in self._response.content.iter_any():
            if room is not None:
                if len(chunk) > room:
                    raise ImageCorrupt(f"{self._url} sent more than the {self.size} bytes that it announced")
                room -= len(chunk)
            yield chunk

    async def _ask(self) -> aiohttp.ClientResponse:
        headers = {"Accept-Encoding": "identity"}
        if self._position and self._file:
            headers["Range"] = f"bytes={self._position}-"
            if validator := _strong(self._file.etag) or self._file.modified:
                headers["If-Range"] = validator
        response = await self._follow(self._url, headers)
        try:
            return await self._accepted(response)
        except BaseException:
            response.close()
            raise

    async def _follow(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        for _ in range(_MAX_REDIRECTS + 1):
            if self._networks is not None:
                check_literal(url, self._networks)
            response = await self._session.get(url, headers=headers, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or location is None:
                return response
            response.close()
            target = url.join(URL(location))
            if target.scheme not in ("http", "https") or (url.scheme == "https" and target.scheme == "http"):
                raise RepositoryUnreachable(f"{url} redirects to {target}, which is not followed")
            url = target
        raise RepositoryUnreachable(f"{self._url} redirects more than {_MAX_REDIRECTS} times")

    async def _accepted(self, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        """The response, standing at the place where the image goes on."""
        _refuse_status(response.status, self._url)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise RepositoryUnreachable(f"{self._url} answers in the encoding {encoding}, which was not asked for")
        found = _validators(response)
        if self._file is None:
            self._file = found
        elif not self._file.agrees_with(found):
            raise ImageChanged(f"{self._url} is another file now: {_difference(self._file, found)}")
        if response.status == 206:
            if _range_start(response) != self._position:
                raise _Passing(f"it answers with the range {response.headers.get('Content-Range')!r}")
        elif self._position:
            _log.warning("%s ignores Range: skipping the first %d bytes", self._url, self._position)
            await self._skip(response)
        return response

    async def _skip(self, response: aiohttp.ClientResponse) -> None:
        left = self._position
        while left:
            chunk = await response.content.read(min(left, MIB))
            if not chunk:
                raise _Passing("the connection broke again")
            left -= len(chunk)


def _validators(response: aiohttp.ClientResponse) -> _Validators:
    size = response.content_length
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        size = int(match[3]) if match and match[3] != "*" else None
    return _Validators(size, response.headers.get("ETag"), response.headers.get("Last-Modified"))


def _range_start(response: aiohttp.ClientResponse) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _strong(etag: str | None) -> str | None:
    return etag if etag and not etag.startswith("W/") else None


def _difference(before: _Validators, now: _Validators) -> str:
    for name, old, new in (("length", before.size, now.size), ("ETag", before.etag, now.etag)):
        if old != new:
            return f"its {name} was {old}, now {new}"
    return f"it was modified {before.modified}, now {now.modified}"


def _refuse_status(status: int, url: URL) -> None:
    if status in (200, 206):
        return
    if status in (404, 410):
        raise ImageNotFound(f"there is no image {url}", hint="check the image's name and the repository")
    if status == 416:
        raise ImageChanged(f"{url} is shorter now than it was")
    if status in _PASSING:
        raise _Passing(f"it answers {status}")
    raise RepositoryUnreachable(f"{url} answers {status}", hint="check the repository's access rules")


def _refuse_hopeless(error: BaseException, url: URL) -> None:
    if isinstance(error, aiohttp.ClientSSLError):
        raise RepositoryUnreachable(
            f"{url} cannot prove who it is: {_reason(error)}", hint="set repository.ca to the CA of the repository"
        ) from error
    if isinstance(error, aiohttp.InvalidURL):
        raise RepositoryUnreachable(f"{url} is not a URL") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
