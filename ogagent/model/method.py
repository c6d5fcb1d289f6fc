"""How an image is to come: the words of ``method``, as OpenGnsys' engine writes them (``Protocol.lib``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from ogagent.errors import InvalidField

Engine = Literal["udpcast", "uftp", "p2p"]

UNICAST: Final = "unicast"
_DIRECT: Final = "-direct"
_ENGINES: Final[Mapping[str, Engine]] = {
    "multicast": "udpcast",
    "udpcast": "udpcast",
    "uftp": "uftp",
    "p2p": "p2p",
    "torrent": "p2p",
}
METHODS: Final = (UNICAST, *_ENGINES)
"""Each also with ``-direct``: not through the CACHE."""

_UDPCAST_PORT: Final = 9000
_UFTP_PORT: Final = 1044  # uftpd(1)
_DUPLEX: Final = re.compile("(full|half)(-?duplex)?|broadcast")
_SPEED: Final = re.compile("([1-9][0-9]{0,5})([KMG])?", re.IGNORECASE)
_UNITS: Final = {"": 10**6, "k": 10**3, "m": 10**6, "g": 10**9}
_SECONDS: Final = range(86_401)
_CLIENTS: Final = range(1, 10_001)
_PORTS: Final = range(1024, 65_535)
"""udpcast takes the next one as well."""


class Session(Struct, frozen=True, kw_only=True):
    """A crowd that takes an image together. ``address`` is the group that its data is sent to; ``speed`` what its
    sender keeps to, in bits a second, 0 when nobody says; ``wait_s`` how long it waits for others; ``uploads``: what
    has come is given to others, also for ``seconds`` after the end.
    """

    engine: Engine
    port: int = 0
    address: str = ""
    speed: int = 0
    wait_s: int = 0
    uploads: bool = True
    seconds: int = 0
    options: str = ""
    """As they were written."""


class Way(Struct, frozen=True, kw_only=True):
    """``session`` None: from the repository alone. ``direct``: past the CACHE, which what comes in any order cannot do
    without.
    """

    direct: bool
    session: Session | None = None


def way_of(method: str, options: str) -> Way | None:
    """None for a method that nobody knows. Raises InvalidField for options that are none of its own."""
    word = method.removesuffix(_DIRECT)
    direct = word != method
    if word == UNICAST:
        return Way(direct=direct)
    engine = _ENGINES.get(word)
    if engine is None:
        return None
    try:
        session = _READERS[engine](options.split(":") if options else [])
        return Way(direct=direct and engine == "udpcast", session=replace(session, options=options))
    except ValueError as error:
        raise InvalidField(f"method: {error}", field="method", hint=f"{method} {_FORMS[engine]}") from error


def _udpcast(words: list[str]) -> Session:
    port, duplex, address, speed, clients, wait = _words(words, 6)
    if duplex and not _DUPLEX.fullmatch(duplex.lower()):
        raise ValueError(f"{duplex!r} is not full-duplex, half-duplex or broadcast")
    _number(clients, "clients", _CLIENTS, 1)
    return Session(
        engine="udpcast",
        port=_number(port, "the port", _PORTS, _UDPCAST_PORT),
        address=_group(address),
        speed=_speed(speed),
        wait_s=_number(wait, "seconds", _SECONDS, 0),
    )


def _uftp(words: list[str]) -> Session:
    port, address, speed = _words(words, 3)
    number = _number(port, "the port", _PORTS, _UFTP_PORT)
    return Session(engine="uftp", port=number, address=_group(address), speed=_speed(speed))


def _p2p(words: list[str]) -> Session:
    mode, seconds = _words(words, 2)
    if mode.lower() not in ("", "peer", "leecher", "seeder"):
        raise ValueError(f"{mode!r} is not peer, leecher or seeder")
    uploads = mode.lower() != "leecher"
    return Session(engine="p2p", uploads=uploads, seconds=_number(seconds, "seconds", _SECONDS, 0) if uploads else 0)


_READERS: Final[Mapping[Engine, Callable[[list[str]], Session]]] = {"udpcast": _udpcast, "uftp": _uftp, "p2p": _p2p}
_FORMS: Final[Mapping[Engine, str]] = {
    "udpcast": "PORT:full-duplex:ADDRESS:SPEEDM:CLIENTS:WAIT",
    "uftp": "PORT:ADDRESS:SPEEDM",
    "p2p": "peer:SECONDS",
}


def _words(words: list[str], most: int) -> list[str]:
    """Any may be missing at the end, or be empty."""
    if len(words) > most:
        raise ValueError(f"there are {len(words)} options, and at most {most} are known")
    return [word.strip() for word in words] + [""] * (most - len(words))


def _number(word: str, what: str, valid: range, absent: int) -> int:
    if not word:
        return absent
    if not re.fullmatch("[0-9]{1,6}", word) or int(word) not in valid:
        raise ValueError(f"{what} must be a number from {valid.start} to {valid.stop - 1}, not {word!r}")
    return int(word)


def _group(word: str) -> str:
    """Of IPv4, as both engines know it; a broadcast address is none, and is not needed: senders say where they send."""
    if word and not IPv4Address(word).is_multicast:
        raise ValueError(f"{word} is no multicast address")
    return word


def _speed(word: str) -> int:
    """Without a unit it is Mbit/s."""
    if not word:
        return 0
    found = _SPEED.fullmatch(word)
    if found is None:
        raise ValueError(f"{word!r} is not a speed such as 70M")
    return int(found[1]) * _UNITS[(found[2] or "").lower()]
