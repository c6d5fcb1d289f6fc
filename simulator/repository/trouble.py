"""What goes wrong with one answer of the repository, by the faults that are there."""

from __future__ import annotations

from typing import Final

from multidict import CIMultiDict

from simulator.faults import Fault
from simulator.repository.ranges import Representation

_HOUR_NS: Final = 3600 * 10**9
_REDIRECTS: Final = {"outside": "http://192.0.2.1/", "scheme": "file:///etc/hostname"}  # RFC 5737: nobody is there
_BIT: Final = 0x01
_UNTOLD: Final = 1 << 20
"""What a share is one of, in bytes, where a client does not tell how much it uploads."""


class Trouble:
    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = {fault.what: fault for fault in faults if fault.where == "repository"}

    @property
    def down(self) -> bool:
        return "down" in self._faults

    @property
    def unmeasured(self) -> bool:
        return "unmeasured" in self._faults

    @property
    def pages(self) -> bool:
        return "pages" in self._faults

    @property
    def coding(self) -> str | None:
        """What is said of the bytes, which stay what they are."""
        value = self._value("coding")
        return value if isinstance(value, str) else None

    def status(self, *, sidecar: bool, continued: bool) -> int | None:
        values = (
            self._value("status"),
            self._value("sidecars") if sidecar else None,
            self._value("again") if continued else None,
        )
        return next((value for value in values if isinstance(value, int)), None)

    def location(self, path: str) -> str | None:
        """Where the client is sent instead."""
        value = self._value("redirect")
        return path if value == "loop" else _REDIRECTS.get(str(value))

    def rate(self, rate: int) -> int:
        """``rate`` or less; 0 is without a limit."""
        return self._slowed("slow", rate)

    def state(self, current: Representation, *, continued: bool) -> Representation:
        """The file that is there for this client."""
        size = min(self._place("short", current.size, current.size), current.size)
        modified = current.modified + _HOUR_NS * (continued and self._value("other") == "file")
        return Representation(size=size, modified=modified)

    def part(self, asked: range | None) -> range | None:
        """What is sent instead of what was asked for; None for the whole file."""
        match self._value("range"):
            case "ignored":
                return None
            case "shifted" if asked:
                return range(max(asked.start - 1, 0), asked.stop)
        return asked

    def disguise(self, headers: CIMultiDict[str], current: Representation) -> None:
        """The answer to a range, with one header of another file."""
        later = Representation(size=current.size + 1, modified=current.modified + _HOUR_NS)
        match self._value("other"):
            case "etag":
                headers["ETag"] = later.etag
            case "date":
                headers["Last-Modified"] = later.last_modified
            case "length":
                headers["Content-Range"] = headers["Content-Range"].partition("/")[0] + f"/{later.size}"

    def cuts(self, position: int, size: int, asked: int) -> bool:
        return self._stops("cut", position, size, asked)

    def stalls(self, position: int, size: int, asked: int) -> bool:
        return self._stops("stall", position, size, asked)

    def stop(self, position: int, stop: int, size: int) -> int:
        """Up to where one may send without meeting a place where something happens."""
        places = [self._place(what, size, size) for what in ("cut", "stall")]
        return min([stop, *(place for place in places if place > position)])

    def spoiled(self, chunk: bytes, position: int, size: int) -> bytes:
        return self._flipped("flip", chunk, position, size)

    # --- what is written: ``size`` is the length that the client tells, if it does ----------------------------------

    @property
    def write_status(self) -> int | None:
        value = self._value("write-status")
        return value if isinstance(value, int) else None

    @property
    def refuses_sidecars(self) -> bool:
        return "sidecars-refused" in self._faults

    @property
    def keeps_half(self) -> bool:
        return "keeps-half" in self._faults

    @property
    def ignores_moves(self) -> bool:
        return "move-ignored" in self._faults

    @property
    def moves_elsewhere(self) -> bool:
        return "move-elsewhere" in self._faults

    def upload_rate(self, rate: int) -> int:
        """``rate`` or less; 0 is without a limit."""
        return self._slowed("upload-slow", rate)

    def is_full(self, position: int, size: int | None) -> bool:
        return self._is_at("full", position, size)

    def cuts_upload(self, position: int, size: int | None) -> bool:
        return self._is_at("upload-cut", position, size)

    def stalls_upload(self, position: int, size: int | None) -> bool:
        return self._is_at("upload-stall", position, size)

    def upload_stop(self, position: int, most: int, size: int | None) -> int:
        """How much, ``most`` at best, one may take without passing a place where something happens."""
        told = _UNTOLD if size is None else size
        places = [self._place(what, told, 0) - position for what in ("full", "upload-cut", "upload-stall")]
        return min([most, *(distance for distance in places if distance > 0)])

    def stored(self, chunk: bytes, position: int, size: int | None) -> bytes:
        return self._flipped("upload-spoiled", chunk, position, _UNTOLD if size is None else size)

    # --------------------------------------------------------------------------------------------------------------

    def _is_at(self, what: str, position: int, size: int | None) -> bool:
        return position == self._place(what, _UNTOLD if size is None else size, -1)

    def _slowed(self, what: str, rate: int) -> int:
        slow = self._value(what)
        return min(slow, rate or slow) if isinstance(slow, int) else rate

    def _flipped(self, what: str, chunk: bytes, position: int, size: int) -> bytes:
        place = self._place(what, size, -1) - position
        if not 0 <= place < len(chunk):
            return chunk
        return chunk[:place] + bytes((chunk[place] ^ _BIT,)) + chunk[place + 1 :]

    def _stops(self, what: str, position: int, size: int, asked: int) -> bool:
        """A client that asks for what begins at the place gets past it, unless that is the very beginning."""
        return position == self._place(what, size, -1) and (asked < position or position == 0)

    def _place(self, what: str, size: int, otherwise: int) -> int:
        fault = self._faults.get(what)
        return otherwise if fault is None or fault.at is None else fault.at.within(size)

    def _value(self, what: str) -> int | str | None:
        fault = self._faults.get(what)
        return fault.value if fault else None
