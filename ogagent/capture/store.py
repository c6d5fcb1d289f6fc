"""Where images are made: a directory of a repository, whatever its server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from ogagent.errors import RepositoryUnreachable
from ogagent.source.location import parsed_url
from ogagent.source.source import SourcePolicy


class UploadBroken(Exception):
    """What was being written is not there; it may be begun again."""


class Look(Struct, frozen=True):
    """What a file is known by, without being read: its size in bytes, and what stays when it is renamed."""

    size: int
    tag: str


class Store(Protocol):
    """Names are those of files, without a directory. Raises RepositoryUnreachable, RepositoryFull, ImageLocked; what
    passes is waited out in here.
    """

    def url(self, name: str) -> str: ...

    async def look(self, name: str) -> Look | None:
        """None when there is none."""

    async def read(self, name: str, most: int) -> bytes | None:
        """No more than so many bytes of it; None when there is none."""

    async def room(self) -> int | None:
        """How many bytes it takes; None when it does not say. Whoever makes an image asks first."""

    async def stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """All of them are on the repository's disk afterwards. Raises UploadBroken for what passes."""

    async def put(self, name: str, content: bytes) -> None: ...

    async def move(self, name: str, to: str) -> None:
        """In place of what has the name by now, at once."""

    async def copy(self, name: str, to: str) -> None: ...

    async def remove(self, name: str) -> None:
        """Also when it is not there."""


class StorePolicy(Struct, frozen=True, kw_only=True):
    """``source`` says how far a repository may be trusted, and how long it is waited for, also where it is written to.
    ``token_file`` holds what is shown to a web server; empty: nothing is. ``volatile``: a directory on the file system
    that this machine loses when it restarts, where no image is made; empty: there is none.
    """

    source: SourcePolicy
    token_file: str = ""
    volatile: str = ""


@asynccontextmanager
async def open_store(destination: str, policy: StorePolicy) -> AsyncIterator[tuple[Store, str]]:
    """The directory of the image with this URL, and the image's name there. Raises RepositoryUnreachable."""
    location = parsed_url(destination)
    if location.scheme == "file":
        from ogagent.capture.folder import Folder

        path = Path(location.path)
        patience_s = max(policy.source.stall_timeout_s, policy.source.retry_for_s)
        yield Folder(path.parent, policy.source.files_within, policy.volatile, patience_s), path.name
    elif location.scheme == "https":
        from ogagent.capture.webdav import open_webdav

        async with open_webdav(location.parent, policy) as store:
            yield store, location.name
    else:
        raise RepositoryUnreachable(
            f"{destination}: images are made at an https address, or in a directory (file)", hint="see capture.url"
        )
