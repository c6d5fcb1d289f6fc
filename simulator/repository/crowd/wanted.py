"""What a session is to be, as whoever starts it says, and as it will be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

Name = Literal["udpcast", "uftp", "p2p"]
Mode = Literal["full-duplex", "half-duplex", "broadcast"]

_FIELD: Final = re.compile(r"(?:field `|at `\$\.)(\w+)`")
"""In what msgspec says."""
_SPEED: Final = re.compile(r"([1-9]\d{0,4})([MG]?)")
_MODES: Final[dict[str, Mode]] = {
    "full": "full-duplex",
    "full-duplex": "full-duplex",
    "half": "half-duplex",
    "half-duplex": "half-duplex",
    "broadcast": "broadcast",
}
"""As OpenGnsys abbreviates them."""
_LOCAL_BLOCK: Final = IPv4Network("224.0.0.0/24")
"""Of routers, and flooded by switches (RFC 5771)."""
_FASTEST: Final = 100_000
_PORT: Final = 9000
_SPEED_MBIT: Final[dict[Name, int]] = {"udpcast": 70, "uftp": 70, "p2p": 0}
_CLIENTS: Final = 20
_WAIT_S: Final[dict[Name, int]] = {"udpcast": 120, "uftp": 30, "p2p": 60}


class SessionRefused(Exception):
    """``status`` is that of HTTP, ``field`` the member that is wrong, if it is one."""

    def __init__(self, status: int, error: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.said = {"error": error, **({"field": field} if field else {}), **({"hint": hint} if hint else {})}


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a POST. ``image`` is a name below the images, without suffix; ``speed`` in Mbit/s, ``wait`` in
    seconds: udpcast waits so long for ``clients`` from the first one on, uftp begins after it, and p2p's clients give
    to others for so long. What is None is for the repository to choose.
    """

    image: Annotated[str, Meta(min_length=1, max_length=200)]
    port: Annotated[int, Meta(ge=1024, le=65534)] | None = None
    address: str = ""
    mode: Mode = "full-duplex"
    speed: int | str | None = None
    clients: Annotated[int, Meta(ge=1, le=1000)] = _CLIENTS
    wait: Annotated[int, Meta(ge=1, le=3600)] | None = None


class Place(Struct, frozen=True, kw_only=True):
    """Where a repository sends from: its own address, and the name of the interface that it is on, ``lo`` say.
    ``tracker`` is the URL to announce at.
    """

    own: str
    interface: str
    tracker: str


class Plan(Struct, frozen=True, kw_only=True):
    """A session as it will be. ``port`` is 0 for any, ``speed`` in Mbit/s, 0 for no limit, ``wait`` in seconds."""

    image: str
    path: Path
    place: Place
    port: int
    address: str
    mode: Mode
    speed: int
    clients: int
    wait: int


def read_wanted(body: bytes) -> Wanted:
    """Numbers may be strings. Raises SessionRefused."""
    try:
        members = msgspec.json.decode(body)
        return msgspec.convert(members, Wanted, strict=False)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        raise SessionRefused(400, str(error), field=found[1] if found else "") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SessionRefused(400, f"the body is no JSON: {error}") from None


def read_session(image: str, session: str) -> Wanted:
    """OpenGnsys' own ``PORT:MODE:ADDRESS:SPEEDM:CLIENTS:WAIT``. Raises SessionRefused."""
    try:
        port, mode, address, speed, clients, wait = session.split(":")
    except ValueError:
        raise SessionRefused(400, f"{session} is not PORT:MODE:ADDRESS:SPEED:CLIENTS:WAIT") from None
    members = {"image": image, "port": port, "address": address, "mode": _MODES.get(mode.lower(), mode)}
    return read_wanted(msgspec.json.encode({**members, "speed": speed, "clients": clients, "wait": wait}))


def plan(name: Name, wanted: Wanted, path: Path, place: Place, port: int) -> Plan:
    """Raises SessionRefused."""
    return Plan(
        image=wanted.image,
        path=path,
        place=place,
        port=port,
        address="" if name == "p2p" else _group(wanted.address or f"239.194.{port >> 8}.{port & 0xFF}"),
        mode=wanted.mode,
        speed=_SPEED_MBIT[name] if wanted.speed is None else _mbit(wanted.speed),
        clients=wanted.clients,
        wait=wanted.wait or _WAIT_S[name],
    )


def ports_to_try(name: Name, wanted: Wanted) -> Sequence[int]:
    """It gets the first one that is free; of p2p, the tracker tells any."""
    if wanted.port:
        return (wanted.port,)
    return (0,) if name == "p2p" else range(_PORT, _PORT + 200, 2)


def _group(text: str) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        address = IPv4Address(0)
    if not address.is_multicast or address in _LOCAL_BLOCK:
        raise SessionRefused(400, f"{text} is no multicast group", field="address", hint="one like 239.194.17.2")
    return str(address)


def _mbit(speed: int | str) -> int:
    found = _SPEED.fullmatch(str(speed).upper())
    mbit = int(found[1]) * (1000 if found[2] == "G" else 1) if found else 0
    if not 1 <= mbit <= _FASTEST:
        raise SessionRefused(400, f"{speed} is no speed", field="speed", hint='in Mbit/s, 70 or "70M"')
    return mbit
