"""Where image bytes come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from ogagent.errors import RepositoryUnreachable
from ogagent.image.codec import MAX_WINDOW
from ogagent.model.repository import Networks
from ogagent.source.file import FileSource
from ogagent.source.location import parsed_url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Source(Protocol):
    """What breaks on the way and can be continued is continued in here; SourceError is raised when it cannot be.

    It is one and the same file all the time, or ImageChanged is raised. Whoever leaves a generator early closes it.
    """

    @property
    def size(self) -> int | None:
        """The length of the image file in bytes; None before the first byte has come, or when nobody says."""

    @property
    def takes_ranges(self) -> bool:
        """Whether ``part`` comes without what lies before it; to be believed once a part has come."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The whole image, in order."""

    def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Its bytes from ``start`` to ``stop``, or to its end when that comes first. Several may be read at once."""

    def at_hand(self, start: int, stop: int) -> bool:
        """Whether ``part`` need not go to the repository for it."""

    def doubt(self, start: int, stop: int) -> bool:
        """What ``part`` gave for this very range is not right. True when it is worth asking once more."""

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        """What lies beside the image, ``.lock`` or ``.full.sum``, say, but no more than ``limit`` bytes of it."""


class SourcePolicy(Struct, frozen=True, kw_only=True):
    """How far a source may be trusted, and how long it is waited for (seconds).

    ``networks`` None: from anywhere. ``max_window``: how much memory, in bytes, an image may ask for to be decoded.
    ``files_within``: the directory that files must lie in; empty: any.
    ``public_keys``: when there are some, an image must be signed by one of them.
    """

    tls: SSLContext
    networks: Networks | None
    stall_timeout_s: float
    retry_for_s: float
    max_window: int = MAX_WINDOW
    files_within: str = ""
    public_keys: Sequence[Ed25519PublicKey] = ()


@asynccontextmanager
async def open_source(url: str, policy: SourcePolicy, on_retry: Callable[[], None]) -> AsyncIterator[Source]:
    """Raises ImageNotFound, RepositoryUnreachable, or another SourceError; ``on_retry`` hears of each new attempt."""
    location = parsed_url(url)
    if location.scheme == "file":
        patience_s = max(policy.stall_timeout_s, policy.retry_for_s)
        async with FileSource.open(location.path, policy.files_within, patience_s) as file:
            yield file
    elif location.scheme in ("http", "https"):
        from ogagent.source.http import open_http

        async with open_http(
            location,
            tls=policy.tls,
            networks=policy.networks,
            stall_timeout_s=policy.stall_timeout_s,
            retry_for_s=policy.retry_for_s,
            on_retry=on_retry,
        ) as remote:
            yield remote
    else:
        raise RepositoryUnreachable(f"{url} is neither http, https nor file", hint="see repository.url")
