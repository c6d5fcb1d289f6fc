"""What the agent tells a peer that it has started, and what it hears of it: a line of JSON each.

First an Order; then, when the agent has filled a piece of the first image from elsewhere, the number of that piece.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

IMAGE: Final = "image"

_Count = Annotated[int, Meta(ge=0, le=1 << 60)]


class Share(Struct, frozen=True, kw_only=True):
    """One image, by its ``torrent`` in base64. ``place``: where it lies, below ``/proc/self/fd``. ``have`` and ``want``
    are bounds of stretches of it, in bytes. ``tracker``: the host of it; empty: that which the torrent names.

    ``whole``: it is not written to; each piece is proven before it is given for the first time.
    """

    torrent: str
    place: str
    have: list[int] = []
    want: list[int] = []
    tracker: str = ""
    whole: bool = False


class Order(Struct, frozen=True, kw_only=True):
    """``address``: where to listen and to connect from, or the name of a network card. ``allow``: networks of those who
    may be spoken with. ``limit`` of what is given, in bytes a second, 0: none.
    """

    shares: list[Share]
    address: str
    port: int
    allow: list[str]
    uploads: bool
    limit: int
    uid: int
    gid: int


class Torrent(Struct, frozen=True, tag="torrent"):
    """Of each image, in their order. Sizes in bytes. ``problem``: it cannot be used."""

    size: _Count = 0
    piece: _Count = 0
    problem: str = ""


class Came(Struct, frozen=True, tag="came"):
    """A piece of the first image is there, and is what the torrent says."""

    piece: _Count


class Gave(Struct, frozen=True, tag="gave"):
    """So many bytes of an image have been given to others, since this was told last."""

    share: _Count
    count: _Count


class Outlook(Struct, frozen=True, tag="outlook"):
    """``hopeful``: somebody who is connected has something of the first image that is wanted here, or somebody else is
    known who may be asked. Told when it changes.
    """

    hopeful: bool


Word = Torrent | Came | Gave | Outlook
