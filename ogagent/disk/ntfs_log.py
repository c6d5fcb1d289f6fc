"""What an NTFS volume says of how it was left: a flag in its $Volume, and the state of its $LogFile.

Structures as in ntfs-3g's ``layout.h``, ``VOLUME_INFORMATION``, and ``logfile.h``, ``RESTART_PAGE_HEADER`` and
``RESTART_AREA``; what they mean as in its ``logfile.c`` and ``volume.c``.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ogagent.disk.ntfs import DATA, attribute, content, first_record, geometry_of
from ogagent.disk.volume import Volume

_LOG_FILE: Final = 2
_VOLUME: Final = 3
_VOLUME_INFORMATION: Final = 0x70
_DIRTY: Final = 0x1
_EMPTY: Final = b"\xff\xff\xff\xff"
_RESTART: Final = (b"RSTR", b"CHKD")
_NO_CLIENT: Final = 0xFFFF
_CLEAN: Final = 0x2
_PAGES: Final = (0, *(512 << power for power in range(8)))
"""Where the first restart page may be, and the second, behind a page of the system that made the log."""


class Restart(NamedTuple):
    """``sequence`` is the log's last number when the page was written."""

    sequence: int
    closed: bool


def is_dirty(volume: Volume) -> bool:
    """Whether Windows will check it. Raises ValueError, IndexError or struct.error for a volume that cannot be
    understood, and OSError.
    """
    geometry = geometry_of(volume.read(0, 512))
    found = attribute(first_record(volume, geometry, _VOLUME), _VOLUME_INFORMATION)
    information = b"".join(content(volume, geometry, [found], 12))
    return bool(struct.unpack_from("<H", information, 10)[0] & _DIRTY)


def is_open(volume: Volume) -> bool:
    """Whether the log may have what is not in its place yet: after a power cut, or while Windows sleeps, which it also
    does with volumes other than its own. Raises as ``is_dirty``.
    """
    geometry = geometry_of(volume.read(0, 512))
    data = attribute(first_record(volume, geometry, _LOG_FILE), DATA)
    log = b"".join(content(volume, geometry, [data], _PAGES[-1] + 512))
    pages = [log[at : at + 512] for at in _PAGES]
    found = [_restart(page) for page in pages if page[:4] in _RESTART]
    if found:
        return not max(found, key=lambda restart: restart.sequence).closed
    if all(page.startswith(_EMPTY) for page in pages):  # as ntfs-3g and mkntfs leave it
        return False
    raise ValueError("no restart page")


def _restart(page: bytes) -> Restart:
    """All of it lies before the first two bytes that a fix-up keeps elsewhere."""
    (checked,), (area, minor, major) = struct.unpack_from("<Q", page, 8), struct.unpack_from("<HHH", page, 24)
    if area > 510 - 16:
        raise ValueError("no restart area")
    sequence, client, flags = struct.unpack_from("<Q4xHH", page, area)
    # Version 2.0 is what Windows 8 and later has while it uses the volume.
    closed = (major, minor) == (1, 1) and (client == _NO_CLIENT or bool(flags & _CLEAN))
    return Restart(sequence if page.startswith(b"RSTR") else checked, closed)
