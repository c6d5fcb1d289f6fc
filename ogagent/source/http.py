"""An image over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final

import aiohttp
from yarl import URL

from ogagent.model.repository import Networks
from ogagent.model.units import MIB
from ogagent.source.answer import PASSING, Passing
from ogagent.source.download import Download, Patience, RemoteFile
from ogagent.source.resolver import AllowedResolver

CONNECTIONS: Final = 4
"""At once to one repository."""
_CONNECT_TIMEOUT_S: Final = 10


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
    """Nothing has been asked yet when this yields."""
    async with open_session(tls, networks, stall_timeout_s) as session:
        yield HttpSource(RemoteFile(session, url, networks), retry_for_s, on_retry)


def open_session(tls: SSLContext, networks: Networks | None, silence_s: float) -> aiohttp.ClientSession:
    """For a repository inside these ``networks``, which may say nothing for ``silence_s`` at most."""
    resolver = None if networks is None else AllowedResolver(networks)
    connector = aiohttp.TCPConnector(ssl=tls, resolver=resolver, limit=CONNECTIONS)
    return aiohttp.ClientSession(
        connector=connector, timeout=silence(silence_s), auto_decompress=False, read_bufsize=MIB, trust_env=False
    )


def silence(seconds: float) -> aiohttp.ClientTimeout:
    """How long a server may say nothing that has been asked."""
    return aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=seconds)


class HttpSource:
    def __init__(self, file: RemoteFile, retry_for_s: float, on_retry: Callable[[], None]) -> None:
        self._file = file
        self._retry_for_s = retry_for_s
        self._on_retry = on_retry

    @property
    def size(self) -> int | None:
        return self._file.size

    @property
    def takes_ranges(self) -> bool:
        return self._file.takes_ranges

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return Download(self._file, self._patience(self._file.url)).chunks()

    def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        return Download(self._file, self._patience(self._file.url), start, stop).chunks()

    def at_hand(self, start: int, stop: int) -> bool:  # noqa: ARG002 - all of it comes over the network
        return False

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - there is only one place to get it from
        return False

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        """A server that does not answer is asked again: what lies there may be a lock."""
        url = self._file.url.with_path(self._file.url.path + suffix)
        patience = self._patience(url)
        while True:
            try:
                return await self._read_small(url, limit, patience)
            except (Passing, aiohttp.ClientError, TimeoutError) as error:
                await patience.pause(error)

    def _patience(self, url: URL) -> Patience:
        return Patience(url, self._retry_for_s, self._on_retry)

    async def _read_small(self, url: URL, limit: int, patience: Patience) -> bytes | None:
        response = await self._file.get(url, {"Accept-Encoding": "identity"})
        try:
            if response.status in PASSING:
                raise Passing(f"it answers {response.status}")
            return await self._file.read_small(response, limit, patience) if response.status == 200 else None
        finally:
            response.close()
