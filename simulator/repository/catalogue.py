"""The images in a directory and the state of each, judged by reading them, not by believing what is written beside."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from simulator.repository.names import IMAGE_SUFFIX, LOCK_SUFFIX, PREVIOUS_SUFFIX, beside, file_named

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

State = Literal["ok", "corrupt", "unchecked"]
Version = tuple[int, int, str, str]

_SUM: Final = re.compile(r"\b[0-9a-f]{32}\b")
_MOST_IMAGES: Final = 1000
_LONGEST_SIDECAR: Final = 1024
_CHUNK: Final = 1 << 20
_PREFIX: Final = 64
_CONTAINERS: Final = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b": "gzip", b"\x89LZO\x00\r\n\x1a\n": "lzop"}
_MAGIC: Final = b"partclone-image"
_FORMATS: Final = {b"0001": "partclone 0001", b"0002": "partclone 0002"}


class Previous(Struct, frozen=True, kw_only=True):
    """The version before an image. ``size`` in bytes, ``modified`` as ISO 8601 has it, UTC."""

    size: int
    modified: str


class Image(Struct, frozen=True, kw_only=True):
    """``size`` in bytes, ``modified`` as ISO 8601 has it, UTC. ``format`` is empty where the first bytes do not tell
    it; ``info`` is that of the sidecar. ``locked`` while somebody works on it.
    """

    name: str
    state: State
    reason: str
    size: int
    container: str
    format: str
    info: str
    modified: str
    previous: Previous | None = None
    locked: bool = False


class Catalogue:
    """Blocking: for a worker thread. A file is read whole once, and again when its size, time or sum has changed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Version, Image]] = {}

    def images(self) -> list[Image]:
        with self._lock:
            known = {name: self._examined(name, path) for name, path in self._files()}
            self._known = {name: entry for name, entry in known.items() if entry}
            return [image for _, image in self._known.values()]

    def image(self, name: str) -> Image | None:
        """As it is among all, by its name without suffix."""
        if not self.file(name + IMAGE_SUFFIX):
            return None
        with self._lock:
            entry = self._examined(name, self.directory / (name + IMAGE_SUFFIX))
            if entry:
                self._known[name] = entry
            return entry and entry[1]

    def file(self, name: str) -> Path | None:
        """What is called ``name``; None when there is none inside the directory."""
        return file_named(self.directory, name)

    def _files(self) -> Iterator[tuple[str, Path]]:
        found = sorted([*self.directory.glob(f"*{IMAGE_SUFFIX}"), *self.directory.glob(f"*/*{IMAGE_SUFFIX}")])
        for path in found[:_MOST_IMAGES]:
            name = str(path.relative_to(self.directory))
            if self.file(name):
                yield name.removesuffix(IMAGE_SUFFIX), path

    def _examined(self, name: str, path: Path) -> tuple[Version, Image] | None:
        try:
            status = path.stat()
            expected, info = _sidecar(path, ".full.sum"), _sidecar(path, ".info")
            version = (status.st_size, status.st_mtime_ns, expected, info)
            known = self._known.get(name)
            image = known[1] if known and known[0] == version else _examine(name, path, version)
            return version, replace(image, previous=_previous(path), locked=beside(path, LOCK_SUFFIX).exists())
        except OSError:  # it vanished, or may not be read: not an image that can be offered
            return None


def _examine(name: str, path: Path, version: Version) -> Image:
    size, modified, expected, info = version
    with path.open("rb") as file:
        container, image_format = _guess(file.read(_CHUNK))
    state, reason = _judge(path, expected)
    return Image(
        name=name,
        state=state,
        reason=reason,
        size=size,
        container=container,
        format=image_format,
        info=info,
        modified=_iso(modified),
    )


def _previous(image: Path) -> Previous | None:
    path = beside(image, PREVIOUS_SUFFIX)
    if not path.is_file():
        return None
    status = path.stat()
    return Previous(size=status.st_size, modified=_iso(status.st_mtime_ns))


def _iso(modified: int) -> str:
    """``modified`` in nanoseconds since 1970."""
    moment = datetime.fromtimestamp(modified // 10**6 / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _judge(path: Path, expected: str) -> tuple[State, str]:
    if not expected:
        return "unchecked", f"there is no {path.name}.full.sum"
    # A line of md5sum may carry the name of the file behind the sum, one of BSD's md5 before it.
    if _md5(path) in _SUM.findall(expected.lower()):
        return "ok", ""
    return "corrupt", f"the MD5 sum of {path.name} is not the one in {path.name}.full.sum"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _sidecar(image: Path, suffix: str) -> str:
    path = beside(image, suffix)
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_LONGEST_SIDECAR).decode(errors="replace").strip()


def _guess(start: bytes) -> tuple[str, str]:
    """Container and format, from the first bytes of the file."""
    container = next((name for magic, name in _CONTAINERS.items() if start.startswith(magic)), "none")
    inside = _inside(container, start)
    if not inside.startswith(_MAGIC):
        return container, ""
    return container, _FORMATS.get(inside[30:34], "")


def _inside(container: str, start: bytes) -> bytes:
    try:
        match container:
            case "zstd":
                return zstd.ZstdDecompressor().decompress(start, max_length=_PREFIX)
            case "gzip":
                return zlib.decompressobj(wbits=31).decompress(start, _PREFIX)
            case "none":
                return start
    except (zstd.ZstdError, zlib.error):
        pass
    return b""
