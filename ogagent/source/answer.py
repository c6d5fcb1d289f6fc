"""What a web server's answer to a request for an image means: the file, another file, try again, or give up.

Read as RFC 9110 has it, and as servers in the wild write it: units and codings in any case, with blanks, in lists.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import aiohttp
from msgspec import Struct
from yarl import URL

from ogagent.errors import ImageNotFound, RepositoryUnreachable
from ogagent.source.location import shown
from ogagent.system.distrust import distrust

OK: Final = 200
PARTIAL: Final = 206
BEYOND: Final = 416
PASSING: Final = (408, 425, 429, 500, 502, 503, 504)

_CONTENT_RANGE: Final = re.compile(
    r"\s*bytes[ \t=]+(?:([0-9]{1,18})\s*-\s*([0-9]{1,18})|\*)\s*/\s*([0-9]{1,18}|\*)\s*", re.IGNORECASE
)
_CODINGS_OF_IMAGES: Final = ("gzip", "x-gzip", "zstd")
"""Apache's mod_mime_magic, and others, look into a file and call its own compression a coding for the way. The bytes
are taken as they come; what they are, the image code sees. What a server compresses while it sends it has no length."""


class Passing(Exception):
    """A failure that may be gone at the next attempt."""


class ContentRange(NamedTuple):
    """``start`` and ``stop`` are 0 where only the length of the file is told; ``total`` is None where it is not."""

    start: int
    stop: int
    total: int | None

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> ContentRange | None:
        return cls.parse(response.headers.get("Content-Range", ""))

    @classmethod
    def parse(cls, text: str) -> ContentRange | None:
        """None when it is none, or one that cannot be."""
        match = _CONTENT_RANGE.fullmatch(text)
        if match is None:
            return None
        first, last, length = match.groups()
        start, stop = (0, 0) if first is None else (int(first), int(last) + 1)
        total = None if length == "*" else int(length)
        possible = start < stop or first is None
        return cls(start, stop, total) if possible and (total is None or stop <= total) else None


class Validators(Struct, frozen=True):
    """What must stay the same for a file to be the same file: its length, ETag (weak or not), and date.

    ``guard`` is what If-Range may hold: a strong ETag, or a date that the file has had for a second (section 8.8.2.2).
    """

    size: int | None
    etag: str | None
    modified: str | None
    guard: str | None

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> Validators:
        size = response.content_length
        if response.status == PARTIAL:
            found = ContentRange.of(response)
            size = found.total if found else None
        etag, modified, date = (response.headers.get(name, "").strip() for name in ("ETag", "Last-Modified", "Date"))
        guard = etag if etag.startswith('"') else modified if _is_older(modified, date) else ""
        weak = re.sub("^[Ww]/", "", etag)  # Apache's is weak while the file is new, and strong from then on
        return cls(size, weak or None, modified or None, guard or None)

    def difference(self, now: Validators) -> str | None:
        """What shows that it is another file now. The length may be left open, and one of ETag and date (15.3.7)."""
        told = (
            ("length", self.size, now.size),
            ("ETag", self.etag, now.etag),
            ("time of change", self.modified, now.modified),
        )
        both = [(name, old, new) for name, old, new in told if old is not None and new is not None]
        for name, old, new in both:
            if old != new:
                return f"its {name} was {shown(str(old))}, now {shown(str(new))}"
        by_length_alone = all(name == "length" for name, _, _ in both)
        if by_length_alone and any((self.etag, self.modified, now.etag, now.modified)):
            return "it does not tell its ETag and date any more, or only now"
        return None


def refuse_status(status: int, url: URL) -> None:
    if status in (OK, PARTIAL, BEYOND):
        return
    if status in (404, 410):
        raise ImageNotFound(f"there is no image {url}", hint="check the image's name and the repository")
    if status in PASSING:
        raise Passing(f"it answers {status}")
    raise RepositoryUnreachable(f"{url} answers {status}", hint="check the repository's access rules")


def refuse_coding(response: aiohttp.ClientResponse, url: URL) -> None:
    """Bytes that are not those of the file."""
    lists = ",".join(response.headers.getall("Content-Encoding", [])).lower().split(",")
    codings = [coding for each in lists if (coding := each.strip()) not in ("", "identity")]
    measured = response.status == PARTIAL or response.content_length is not None
    if codings and not (measured and len(codings) == 1 and codings[0] in _CODINGS_OF_IMAGES):
        raise RepositoryUnreachable(
            f"{url} answers in the encoding {shown(', '.join(codings))}, which was not asked for",
            hint="switch compression off in the repository's web server, for images at least",
        )


def refuse_contradiction(response: aiohttp.ClientResponse, url: URL) -> None:
    """Bytes of which nobody can tell where they belong."""
    found = ContentRange.of(response)
    if response.status == PARTIAL and response.content_type == "multipart/byteranges":
        why = "answers a request for one range with several parts"
    elif response.status == OK and found and found.stop and (found.start or found.total not in (None, found.stop)):
        why = f"answers 200, which is the whole file, and the range {shown(response.headers['Content-Range'])}"
    else:
        return
    raise RepositoryUnreachable(
        f"{url} {why}", hint="look for what stands between: the repository's web server, or a proxy"
    )


def refuse_hopeless(error: BaseException, url: URL) -> None:
    if isinstance(error, aiohttp.ClientSSLError) and (found := distrust(error, "repository.ca", datetime.now(UTC))):
        raise RepositoryUnreachable(f"{url} cannot prove who it is: {found.reason}", hint=found.hint) from error
    if isinstance(error, aiohttp.InvalidURL):
        raise RepositoryUnreachable(f"{url} is not a URL") from error


async def next_bytes(response: aiohttp.ClientResponse, most: int, silence_s: float | None) -> bytes:
    """Up to ``most`` bytes of a body, as they come; none at its end. Raises aiohttp.ClientError, TimeoutError.

    aiohttp's own timer does not cover all of it: where something else stands in the middle of a body in chunks it stops
    that timer, closes the connection, and wakes nobody who waits for the rest.
    """
    async with asyncio.timeout(silence_s):
        return await response.content.read(most)


def reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _is_older(modified: str, date: str) -> bool:
    form = "%a, %d %b %Y %H:%M:%S GMT"
    try:
        return datetime.strptime(modified, form) + timedelta(seconds=1) <= datetime.strptime(date, form)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return False
