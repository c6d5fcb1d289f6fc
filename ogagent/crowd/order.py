"""What the agent tells a peer that it has started, and what it hears of it: a line of JSON each."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

IMAGE: Final = "image"


class Order(Struct, frozen=True, kw_only=True):
    """``torrent`` in base64; ``folder`` is the number of the descriptor of a directory in which the image is called
    ``image``. ``have`` and ``want`` are bounds of stretches of it, in bytes. ``allow``: networks of those who may be
    spoken with. ``limit`` of what is given, in bytes a second, 0: none.
    """

    torrent: str
    folder: int
    have: list[int]
    want: list[int]
    repository: str
    address: str
    port: int
    allow: list[str]
    uploads: bool
    limit: int
    uid: int
    gid: int


class Torrent(Struct, frozen=True):
    """Sizes in bytes. ``problem``: it cannot be used."""

    size: int = 0
    piece: int = 0
    problem: str = ""
