"""Bytes of a file on a web server, asked for again where a connection breaks, as long as it is still the same file."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final

import aiohttp
from msgspec.structs import replace
from yarl import URL

from ogagent.errors import ImageChanged, ImageCorrupt, RepositoryUnreachable
from ogagent.model.repository import Networks
from ogagent.model.units import KIB, MIB
from ogagent.source.answer import (
    BEYOND,
    OK,
    PARTIAL,
    ContentRange,
    Passing,
    Validators,
    next_bytes,
    reason,
    refuse_coding,
    refuse_contradiction,
    refuse_hopeless,
    refuse_status,
)
from ogagent.source.location import parsed_url, shown
from ogagent.source.resolver import check_host

_log: Final = logging.getLogger(__name__)

_MAX_REDIRECTS: Final = 3
_FIRST_DELAY_S: Final = 0.5
_MAX_DELAY_S: Final = 15.0
_HEADERS_S: Final = 60.0
"""Beyond the time that a single silence may take, for all redirects, handshakes and headers of one answer."""

FAIR: Final = MIB
"""A connection that broke before it brought so many bytes is followed by the next one at once only the first time."""
LEAST_RATE: Final = 8 * KIB
"""Bytes a second. Forty PCs that share 10 Mbit/s get four times as much; at this rate, a gigabyte takes 34 hours."""
_LEAST_WINDOW_S: Final = 60.0
_PIECE: Final = 2 * MIB
_LOOK: Final = "check that the repository runs, and the network between it and this machine"


class RemoteFile:
    """One file, as its first answer described it: ``validators`` are None until there was one.

    ``takes_ranges`` is False once the server has answered a range with the whole file.
    """

    def __init__(self, session: aiohttp.ClientSession, url: URL, networks: Networks | None) -> None:
        self._session = session
        self._networks = networks
        self.url = url
        self.validators: Validators | None = None
        self.takes_ranges = True

    @property
    def size(self) -> int | None:
        return self.validators.size if self.validators else None

    async def get(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Of this file, or of one beside it. Headers that come byte by byte are not waited for."""
        async with asyncio.timeout(_HEADERS_S + (self._session.timeout.sock_read or 0)):
            return await self._following(url, headers)

    async def _following(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        first = url
        for _ in range(_MAX_REDIRECTS + 1):
            check_host(url, self._networks)
            response = await self._session.get(url, headers=headers, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or location is None:
                return response
            response.close()
            target = parsed_url(location, url)
            if target.scheme not in ("http", "https") or (url.scheme == "https" and target.scheme == "http"):
                raise RepositoryUnreachable(f"{url} redirects to {shown(str(target))}, which is not followed")
            url = target
        raise RepositoryUnreachable(f"{first} redirects more than {_MAX_REDIRECTS} times")

    async def more(self, response: aiohttp.ClientResponse, most: int = _PIECE) -> bytes:
        """See ``next_bytes``."""
        return await next_bytes(response, most, self._session.timeout.sock_read)

    async def read_small(self, response: aiohttp.ClientResponse, limit: int, patience: Patience) -> bytes:
        """No more than ``limit`` bytes of it. Raises as ``Download.chunks`` does what it cannot continue."""
        found = bytearray()
        patience.wait()
        while len(found) < limit and (chunk := await self.more(response, limit - len(found))):
            patience.received(len(chunk))
            found += chunk
        return bytes(found)

    async def open(self, start: int, stop: int | None, patience: Patience) -> aiohttp.ClientResponse | None:
        """The answer, standing at ``start``; None when the file has come to its end there.

        Raises Passing, SourceError, aiohttp.ClientError, TimeoutError.
        """
        headers = {"Accept-Encoding": "identity"}
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
            if self.validators and self.validators.guard:
                headers["If-Range"] = self.validators.guard
        response = await self.get(self.url, headers)
        try:
            refuse_status(response.status, self.url)
            if response.status == BEYOND:
                self._accept_end(response, start)
                response.close()
                return None
            refuse_coding(response, self.url)
            refuse_contradiction(response, self.url)
            self._accept(Validators.of(response))
            await self._stand_at(response, start, stop, patience)
        except BaseException:
            response.close()
            raise
        return response

    def _accept(self, found: Validators) -> None:
        known = self.validators or found
        if difference := known.difference(found):
            raise ImageChanged(f"{self.url} is another file now: {difference}")
        self.validators = known if known.size is not None else replace(known, size=found.size)

    def _accept_end(self, response: aiohttp.ClientResponse, start: int) -> None:
        """Nothing comes after ``start``: the file's length must be told, and be that."""
        found = ContentRange.of(response)
        if found is None or found.total is None or self.size not in (None, found.total):
            raise ImageChanged(f"{self.url} is shorter now than it was: nothing comes after byte {start}")
        if start < found.total:
            raise Passing(f"it has {found.total} bytes, and nothing after byte {start}")
        if self.validators is not None:
            self.validators = replace(self.validators, size=found.total)

    async def _stand_at(
        self, response: aiohttp.ClientResponse, start: int, stop: int | None, patience: Patience
    ) -> None:
        if response.status == PARTIAL:
            found = ContentRange.of(response)
            if found is None or not found.stop or found.start != start:
                raise Passing(f"it answers with the range {shown(response.headers.get('Content-Range'))}")
            return
        self.takes_ranges = self.takes_ranges and start == 0 and stop is None
        if start:
            _log.warning("%s ignores Range: skipping the first %d bytes", self.url, start)
        patience.wait()
        while start:
            chunk = await self.more(response, min(start, _PIECE))
            if not chunk:
                raise Passing("the connection broke again")
            patience.received(len(chunk), wanted=False)
            start -= len(chunk)


class Patience:
    """How long a server is borne that sends nothing, or next to nothing; ``on_retry`` hears of each new attempt."""

    def __init__(
        self,
        url: URL,
        retry_for_s: float,
        on_retry: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._retry_for_s = retry_for_s
        self._on_retry = on_retry
        self._clock, self._sleep = clock, sleep
        self._delay = _FIRST_DELAY_S
        self._bad_since: float | None = None
        """When the first of the attempts failed that have not brought a fair number of bytes, together, so far."""
        self._brought = 0
        self._waiting_since = clock()
        self._behind_s = 0.0
        """How long it has been waited for bytes, less the time that they may take at the least rate."""

    def wait(self) -> None:
        """From now on it is the server that is waited for, and nobody else."""
        self._waiting_since = self._clock()

    def received(self, count: int, *, wanted: bool = True) -> None:
        """Bytes have come, ``wanted`` or to be passed over. Raises RepositoryUnreachable when they come too slowly."""
        now = self._clock()
        self._behind_s = max(self._behind_s + now - self._waiting_since - count / LEAST_RATE, 0.0)
        self._waiting_since = now
        if self._behind_s > (limit_s := max(self._retry_for_s, _LEAST_WINDOW_S)):
            raise RepositoryUnreachable(
                f"{self._url} sends less than {LEAST_RATE} bytes a second, and that for {limit_s:.0f} s", hint=_LOOK
            )
        self._brought += count * wanted
        if self._brought >= FAIR:
            self._bad_since = None

    async def pause(self, error: BaseException | str, *, got_some: bool = False) -> None:
        """A longer one each time; none for the first time, if the attempt ``got_some`` bytes.

        Raises RepositoryUnreachable when ``retry_for_s`` would be over, or for what does not get better by waiting.
        """
        if isinstance(error, BaseException):
            refuse_hopeless(error, self._url)
            error = reason(error)
        now = self._clock()
        first = self._bad_since is None
        if self._bad_since is None:
            self._bad_since, self._brought, self._delay = now, 0, _FIRST_DELAY_S
        if first and got_some:
            _log.warning("%s: %s; continuing there", self._url, error)
            self._on_retry()
            return
        if now + self._delay > self._bad_since + self._retry_for_s:
            raise RepositoryUnreachable(f"{self._url} {self._failure}: {error}", hint=_LOOK)
        _log.warning("%s: %s; trying again in %.1f s", self._url, error, self._delay)
        self._on_retry()
        await self._sleep(self._delay * random.uniform(0.75, 1.25))  # noqa: S311 - so that a room does not knock as one
        self._delay = min(2 * self._delay, _MAX_DELAY_S)

    @property
    def _failure(self) -> str:
        if self._brought:
            return f"has sent {self._brought} bytes in {self._retry_for_s:.0f} s"
        return f"could not be reached for {self._retry_for_s:.0f} s"


class Download:
    """The bytes of ``file`` from ``start`` to ``stop``, None being its end, once."""

    def __init__(self, file: RemoteFile, patience: Patience, start: int = 0, stop: int | None = None) -> None:
        self._file = file
        self._patience = patience
        self._position = start
        self._stop = stop

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        while True:
            before = self._position
            response = await self._opened()
            if response is None:
                return
            try:
                self._patience.wait()
                async for chunk in self._received(response):
                    self._position += len(chunk)
                    self._patience.received(len(chunk))
                    yield chunk
                    self._patience.wait()
                if self._end is None or self._position >= self._end:
                    return
                why = f"it ended after {self._position} of {self._end} bytes"
            except (aiohttp.ClientError, TimeoutError) as error:
                why = f"broken at byte {self._position} ({reason(error)})"
            finally:
                response.close()
            await self._patience.pause(why, got_some=self._position > before)

    @property
    def _end(self) -> int | None:
        """None while nobody has said where that is."""
        return min((end for end in (self._stop, self._file.size) if end is not None), default=None)

    async def _opened(self) -> aiohttp.ClientResponse | None:
        while True:
            try:
                return await self._file.open(self._position, self._stop, self._patience)
            except (Passing, aiohttp.ClientError, TimeoutError) as error:
                await self._patience.pause(error)

    async def _received(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        said = ContentRange.of(response) if response.status == PARTIAL else None
        end = min((end for end in (said and said.stop, self._end) if end is not None), default=None)
        room = None if end is None else end - self._position
        while chunk := await self._file.more(response):
            if room is not None and len(chunk) > room:
                if response.status == OK and self._stop is not None:  # the whole file, where a part was asked for
                    yield chunk[:room]
                    return
                raise ImageCorrupt(f"{self._file.url} sent more than the {room} bytes that were to come")
            yield chunk
            if room is not None:
                room -= len(chunk)
