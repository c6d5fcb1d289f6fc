"""One language for what goes wrong: ``WHERE:WHAT[@POINT][=VALUE]``.

``repository:cut@50%``, ``repository:status=503``, ``repository:slow=10MiB``, ``disk:full@1MiB``, ``disk:readonly``.

A POINT is a place in the image file or on the partition: a number of bytes (``4096``, ``1MiB``) or a share (``50%``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from simulator.errors import LabError

Where = Literal["repository", "disk"]
Value: TypeAlias = int | str | None
Needed = Literal["no", "may", "must"]

_FAULT: Final = re.compile(r"(?P<where>[a-z]+):(?P<what>[a-z-]+)(@(?P<at>[^@=]*))?(=(?P<value>.*))?")
_SIZE: Final = re.compile(r"(\d{1,15})(KiB|MiB|GiB)?")
_UNITS: Final = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PERCENT: Final = re.compile(r"(\d{1,3})%")
_LONGEST_FILE: Final = 64 << 10


class Point(Struct, frozen=True):
    """``share`` in percent; where it is None, ``offset`` counts, in bytes."""

    offset: int = 0
    share: int | None = None

    def within(self, size: int) -> int:
        return self.offset if self.share is None else size * self.share // 100

    def __str__(self) -> str:
        return _size_text(self.offset) if self.share is None else f"{self.share}%"


class Fault(Struct, frozen=True):
    where: Where
    what: str
    at: Point | None = None
    value: Value = None

    def __str__(self) -> str:
        point = "" if self.at is None else f"@{self.at}"
        value = "" if self.value is None else f"={self.value}"
        return f"{self.where}:{self.what}{point}{value}"


class Kind(Struct, frozen=True):
    """``text`` tells a person what happens; P stands there for the point, N for the value."""

    where: Where
    what: str
    text: str
    at: Needed = "no"
    value: Needed = "no"
    words: tuple[str, ...] = ()
    """What the value may be; empty for a number from ``least`` to ``most``."""
    least: int = 1
    most: int = 1 << 40


KINDS: Final = (
    Kind("repository", "down", "every connection is closed without an answer"),
    Kind("repository", "status", "every call is answered with the status N", value="must", least=400, most=599),
    Kind("repository", "again", "what is asked for by range is answered with the status N", value="must",
         least=400, most=599),
    Kind("repository", "slow", "each connection gets N bytes a second", value="must"),
    Kind("repository", "cut", "the connection is cut when it comes to P", at="must"),
    Kind("repository", "stall", "the connection falls silent when it comes to P", at="must"),
    Kind("repository", "flip", "one bit of the byte at P is another one", at="must"),
    Kind("repository", "short", "the file ends at P, and that is called its length", at="must"),
    Kind("repository", "unmeasured", "no length is told"),
    Kind("repository", "range", "a range is not answered as asked", value="must", words=("ignored", "shifted")),
    Kind("repository", "other", "what is asked for by range belongs to another file", value="must",
         words=("file", "etag", "date", "length")),
    Kind("repository", "redirect", "the answer is to look elsewhere", value="must",
         words=("loop", "outside", "scheme")),
    Kind("repository", "pages", "what is not there is answered with a page, as if it were"),
    Kind("repository", "coding", "every file is said to be compressed for the way, by N", value="must",
         words=("gzip", "x-gzip", "br")),
    Kind("repository", "sidecars", "what lies beside an image is answered with the status N", value="must",
         least=400, most=599),
    Kind("repository", "full", "an upload is answered with the status 507 when it comes to P", at="must"),
    Kind("repository", "upload-cut", "the connection is cut when an upload comes to P", at="must"),
    Kind("repository", "upload-stall", "of an upload no more is taken when it comes to P", at="must"),
    Kind("repository", "upload-slow", "of each upload N bytes a second are taken", value="must"),
    Kind("repository", "upload-spoiled", "one bit of the byte at P of an upload is stored as another one", at="must"),
    Kind("repository", "keeps-half", "of an image only the first half is kept, and the answer is that it is there"),
    Kind("repository", "sidecars-refused", "what is uploaded beside an image is answered with the status 500"),
    Kind("repository", "move-ignored", "a file keeps its name, and the answer is that it has another one"),
    Kind("repository", "move-elsewhere", "a file gets another name than the one that was asked for"),
    Kind("repository", "write-status", "every call that needs the token is answered with the status N", value="must",
         least=400, most=599),
    Kind("disk", "full", "writing beyond P fails: no space (with N: only the N-th write that covers P)", at="must",
         value="may"),
    Kind("disk", "eio", "writing from P on fails (with N: only the N-th write that covers P)", at="must", value="may"),
    Kind("disk", "gone", "the disk vanishes when P is written (with N: at the N-th write that covers P)", at="must",
         value="may"),
    Kind("disk", "readonly", "nothing can be written"),
    Kind("disk", "flip", "one bit of the byte at P is stored as another one (with N: only by the N-th write)",
         at="must", value="may"),
    Kind("disk", "lost", "what is written over P is not stored (with N: only the N-th write)", at="must", value="may"),
    Kind("disk", "torn", "of what is written over P only the part before P is stored (with N: only of the N-th write)",
         at="must", value="may"),
    Kind("disk", "flush", "flushing fails (with N: only the N-th time)", value="may"),
    Kind("disk", "unreadable", "reading back P fails", at="must"),
    Kind("disk", "medium", "it takes as long as one of the kind N", value="must", words=("ssd", "hdd")),
    Kind("disk", "misread", "the byte at P reads back as another one (with N: only the N-th time)", at="must",
         value="may"),
)  # fmt: skip
_KINDS: Final[dict[tuple[str, str], Kind]] = {(kind.where, kind.what): kind for kind in KINDS}

Faults = Callable[[], tuple[Fault, ...]]
"""Those that are there at the moment. Blocking: for a worker thread."""


def no_faults() -> tuple[Fault, ...]:
    return ()


def parse_fault(text: str) -> Fault:
    """Raises LabError."""
    found = _FAULT.fullmatch(text.strip())
    if not found:
        raise LabError(f"{text!r} is no fault", hint="a fault is written WHERE:WHAT[@POINT][=VALUE]")
    kind = _KINDS.get((found["where"], found["what"]))
    if kind is None:
        raise _unknown(found["where"], found["what"])
    for part, needed, given in (("@POINT", kind.at, found["at"]), ("=VALUE", kind.value, found["value"])):
        if needed == "must" and given is None:
            raise LabError(f"{text!r} lacks its {part}", hint=f"{kind.where}:{kind.what}: {kind.text}")
        if needed == "no" and given is not None:
            raise LabError(f"{text!r}: {kind.where}:{kind.what} takes no {part}", hint=kind.text)
    point = None if found["at"] is None else _point(found["at"])
    return Fault(kind.where, kind.what, point, None if found["value"] is None else _value(kind, found["value"]))


class FaultFile:
    """A file with one fault a line: whoever writes it decides what goes wrong in the processes that read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int], tuple[Fault, ...]] | None = None

    def __call__(self) -> tuple[Fault, ...]:
        """Where there is no file, nothing goes wrong. Raises LabError for a line that is no fault."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return ()
        version = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if self._read is None or self._read[0] != version:
                self._read = version, self._parsed()
            return self._read[1]

    def write(self, faults: Iterable[Fault]) -> None:
        """All that goes wrong from now on; nothing, when there are none."""
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text("".join(f"{fault}\n" for fault in faults), encoding="utf-8")
        new.replace(self._path)

    def _parsed(self) -> tuple[Fault, ...]:
        with self._path.open(encoding="utf-8") as file:
            lines = file.read(_LONGEST_FILE).splitlines()
        return tuple(parse_fault(line) for line in lines if line.strip())


def _unknown(where: str, what: str) -> LabError:
    known = [kind.what for kind in KINDS if kind.where == where]
    if known:
        return LabError(f"{where} has no fault {what!r}", hint=f"it has: {', '.join(known)}")
    return LabError(f"nothing goes wrong at {where!r}", hint=f"faults are of: {', '.join(get_args(Where))}")


def _point(text: str) -> Point:
    if (share := _PERCENT.fullmatch(text)) and int(share[1]) <= 100:
        return Point(share=int(share[1]))
    return Point(offset=_size(text))


def _value(kind: Kind, text: str) -> int | str:
    if not kind.words:
        number = _size(text)
        if not kind.least <= number <= kind.most:
            raise LabError(f"{kind.where}:{kind.what}={text} is not between {kind.least} and {kind.most}")
        return number
    if text not in kind.words:
        raise LabError(f"{kind.where}:{kind.what} is not {text!r}", hint=f"it is one of: {', '.join(kind.words)}")
    return text


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if not found:
        raise LabError(f"{text!r} is no number of bytes", hint="write 4096, 64KiB, 1MiB or, for a place, 50%")
    return int(found[1]) * _UNITS[found[2]]


def _size_text(size: int) -> str:
    units = [(unit, factor) for unit, factor in _UNITS.items() if unit and size and size % factor == 0]
    return f"{size // units[-1][1]}{units[-1][0]}" if units else str(size)
