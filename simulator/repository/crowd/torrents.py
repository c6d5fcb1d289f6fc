"""``X.img.torrent`` beside an image (BEP 3, version 1): made where it is missing, and known by its info-hash."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Final

from simulator.repository.crowd.bencode import Garbled, Value, decode, encode
from simulator.repository.names import IMAGE_SUFFIX, beside, temporary_beside

_SUFFIX: Final = ".torrent"
_PIECE: Final = 1 << 20
_LARGEST: Final = 1 << 26
_MOST: Final = 1000

Version = tuple[int, int]


class Torrents:
    """Those in a directory of images. Blocking: for a worker thread."""

    def __init__(self, directory: Path, announce: str) -> None:
        """``announce`` is the URL of the tracker."""
        self._directory = directory.resolve()
        self._announce = announce
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[Version, bytes]] = {}

    def beside(self, image: Path) -> Path:
        """The image's own, made anew when there is none of this length, or an older one than the image."""
        torrent = beside(image, _SUFFIX)
        if not _suits(torrent, image):
            new = temporary_beside(torrent)
            try:
                new.write_bytes(make_torrent(image, self._announce))
                new.replace(torrent)
            finally:
                new.unlink(missing_ok=True)
        return torrent

    def has(self, info_hash: bytes) -> bool:
        """Whether one of them has it. Each is read once, and again when it has changed."""
        with self._lock:
            suffix = IMAGE_SUFFIX + _SUFFIX
            found = [*self._directory.glob(f"*{suffix}"), *self._directory.glob(f"*/*{suffix}")][:_MOST]
            self._known = {path: entry for path in found if (entry := self._looked_at(path))}
            return any(known == info_hash for _, known in self._known.values())

    def _looked_at(self, path: Path) -> tuple[Version, bytes] | None:
        try:
            status = path.stat()
            version = status.st_size, status.st_mtime_ns
            known = self._known.get(path)
            return known if known and known[0] == version else (version, info_hash(read_torrent(path)))
        except (OSError, Garbled):
            return None


def make_torrent(image: Path, announce: str) -> bytes:
    """In pieces of 1 MiB: small enough that a PC soon has some that others lack."""
    pieces = bytearray()
    length = 0
    with image.open("rb") as file:
        while piece := file.read(_PIECE):
            pieces += hashlib.sha1(piece, usedforsecurity=False).digest()
            length += len(piece)
    info: Value = {
        b"length": length, b"name": image.name.encode(), b"piece length": _PIECE, b"pieces": bytes(pieces),
    }  # fmt: skip
    return encode({b"announce": announce.encode(), b"created by": b"ogsim", b"info": info})


def read_torrent(path: Path) -> dict[bytes, Value]:
    """The ``info`` of one for a single file. Raises Garbled, or OSError."""
    with path.open("rb") as file:
        members = decode(file.read(_LARGEST))
    info = members.get(b"info") if isinstance(members, dict) else None
    if not isinstance(info, dict) or not isinstance(info.get(b"length"), int):
        raise Garbled("no torrent of one file")
    return info


def info_hash(info: dict[bytes, Value]) -> bytes:
    return hashlib.sha1(encode(info), usedforsecurity=False).digest()


def _suits(torrent: Path, image: Path) -> bool:
    try:
        newer = torrent.stat().st_mtime_ns >= image.stat().st_mtime_ns
        return newer and read_torrent(torrent)[b"length"] == image.stat().st_size
    except (OSError, Garbled):
        return False
