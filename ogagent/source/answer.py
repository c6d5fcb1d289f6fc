"""What a web server's answer to a request for an image means: the file, another file, try again, or give up."""

from __future__ import annotations

import re
from typing import Final

import aiohttp
from msgspec import Struct
from yarl import URL

from ogagent.errors import ImageChanged, ImageNotFound, RepositoryUnreachable

PASSING: Final = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Passing(Exception):
    """A failure that may be gone at the next attempt."""


class Validators(Struct, frozen=True):
    """What must stay the same for a file to be the same file."""

    size: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> Validators:
        size = response.content_length
        if response.status == 206:
            match = _content_range(response)
            size = int(match[3]) if match and match[3] != "*" else None
        return cls(size, response.headers.get("ETag"), response.headers.get("Last-Modified"))

    def agrees_with(self, other: Validators) -> bool:
        """An answer may leave the length open."""
        same_size = None in (self.size, other.size) or self.size == other.size
        return same_size and (self.etag, self.modified) == (other.etag, other.modified)

    @property
    def guard(self) -> str | None:
        """For If-Range."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def difference(self, now: Validators) -> str:
        for name, old, new in (("length", self.size, now.size), ("ETag", self.etag, now.etag)):
            if old != new:
                return f"its {name} was {old}, now {new}"
        return f"it was modified {self.modified}, now {now.modified}"


def range_start(response: aiohttp.ClientResponse) -> int | None:
    match = _content_range(response)
    return int(match[1]) if match else None


def refuse_status(status: int, url: URL) -> None:
    if status in (200, 206):
        return
    if status in (404, 410):
        raise ImageNotFound(f"there is no image {url}", hint="check the image's name and the repository")
    if status == 416:
        raise ImageChanged(f"{url} is shorter now than it was")
    if status in PASSING:
        raise Passing(f"it answers {status}")
    raise RepositoryUnreachable(f"{url} answers {status}", hint="check the repository's access rules")


def refuse_hopeless(error: BaseException, url: URL) -> None:
    if isinstance(error, aiohttp.ClientSSLError):
        raise RepositoryUnreachable(
            f"{url} cannot prove who it is: {reason(error)}", hint="set repository.ca to the CA of the repository"
        ) from error
    if isinstance(error, aiohttp.InvalidURL):
        raise RepositoryUnreachable(f"{url} is not a URL") from error


def reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _content_range(response: aiohttp.ClientResponse) -> re.Match[str] | None:
    return _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
