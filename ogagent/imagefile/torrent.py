"""``X.img.torrent`` beside an image: BEP 3, version 1, one file, in pieces of 1 MiB."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from ogagent.imagefile.exchange import opened_alone, write_beside
from ogagent.model.units import MIB

SUFFIX: Final = ".torrent"
_PIECE: Final = MIB
"""OpenGnsys' own have 4 MiB: then few PCs have what others lack until late."""


def make_torrent(path: Path, announce: str) -> None:
    """``announce``: the URL of the repository's tracker. Raises OSError, and ImageLocked for one in the making."""
    with opened_alone(path) as original:
        pieces, size = bytearray(), 0
        while piece := original.file.read(_PIECE):
            pieces += hashlib.sha1(piece, usedforsecurity=False).digest()
            size += len(piece)
        info = _dictionary(length=size, name=path.name.encode(), piece_length=_PIECE, pieces=bytes(pieces))
        write_beside(
            original, SUFFIX, _dictionary(announce=announce.encode(), created_by=b"ogagent", info=_Encoded(info))
        )


class _Encoded(bytes):
    """A value that has been encoded already."""


def _dictionary(**members: bytes | int) -> bytes:
    """Bencoded. Names with a blank are written with ``_`` here, and have to be in the order of their bytes."""
    words = (_text(name.replace("_", " ").encode()) + _value(value) for name, value in members.items())
    return b"d" + b"".join(words) + b"e"


def _value(value: bytes | int) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    return value if isinstance(value, _Encoded) else _text(value)


def _text(value: bytes) -> bytes:
    return b"%d:%b" % (len(value), value)
