"""HTTP's Range and If-Range, as RFC 9110 has them, for one range.

aiohttp's own FileResponse knows If-Range with a date only: given an entity tag, it sends a part of whatever the file is
by now. That is the mistake that continuing a download must not meet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from msgspec import Struct

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class Representation(Struct, frozen=True, kw_only=True):
    """One state of a file. ``size`` in bytes, ``modified`` in nanoseconds since 1970."""

    size: int
    modified: int

    @property
    def etag(self) -> str:
        return f'"{self.modified:x}-{self.size:x}"'

    @property
    def last_modified(self) -> str:
        return format_datetime(datetime.fromtimestamp(self.modified // 10**9, UTC), usegmt=True)


class Unsatisfiable(Exception):
    """The range begins beyond the end of the file."""


def requested_part(headers: Mapping[str, str], current: Representation) -> range | None:
    """The bytes to send with status 206; None when the whole file is to be sent with 200. Raises Unsatisfiable.

    A range that cannot be read, or several at once, count as none (section 14.2); so does one for another state of the
    file (section 13.1.5).
    """
    found = _RANGE.fullmatch(headers.get("Range", "").strip())
    if not found or (not found[1] and not found[2]):
        return None
    if headers.get("If-Range", current.etag).strip() not in (current.etag, current.last_modified):
        return None
    if not found[1]:
        start, stop = max(current.size - int(found[2]), 0), current.size
    else:
        start, stop = int(found[1]), min(int(found[2] or current.size) + 1, current.size)
    if found[1] and found[2] and int(found[2]) < start:
        return None
    if start >= current.size or start >= stop:
        raise Unsatisfiable
    return range(start, stop)
