"""Which rows there are: an image by a method to so many PCs, and what goes wrong meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

Method = Literal["unicast", "udpcast", "uftp", "p2p"]
Trouble = Literal["none", "slow", "dead", "late", "loss", "sender", "switch", "changed"]

METHODS: Final[tuple[Method, ...]] = get_args(Method)
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)
WORDS: Final[dict[Trouble, str]] = {
    "none": "",
    "slow": "one at a quarter of the link",
    "dead": "one without power from 40 % on",
    "late": "one that comes at 50 %",
    "loss": "1 % of packets lost",
    "sender": "sender killed at 40 %",
    "switch": "a switch that forgets the group",
    "changed": "1 % of the image changed",
}
CLIENTS: Final = (4, 16, 32)
_MULTICAST: Final = ("udpcast", "uftp")
_RECKONED_FROM: Final = 4
"""More of them, one after the other, are not waited for: unicast shares a link, and nothing else happens."""


class Case(Struct, frozen=True):
    """``reckoned`` from the unicast of fewer."""

    method: Method
    clients: int
    trouble: Trouble = "none"

    @property
    def reckoned(self) -> bool:
        return self.method == "unicast" and self.clients > _RECKONED_FROM

    @property
    def name(self) -> str:
        told = f"{self.method}, {self.clients}"
        return f"{told}, {WORDS[self.trouble]}" if WORDS[self.trouble] else told


def cases(methods: Sequence[Method], clients: Sequence[int], troubles: Sequence[Trouble]) -> Iterator[Case]:
    """The alone one first, to which the others are compared; troubles only in the smallest room that has others."""
    yield Case("unicast", 1)
    troubled = min((count for count in clients if count > 1), default=0)
    for method in methods:
        for count in clients:
            if "none" in troubles and (method, count) != ("unicast", 1):
                yield Case(method, count)
        for trouble in troubles:
            if troubled and _happens(trouble, method):
                yield Case(method, troubled, trouble)


def _happens(trouble: Trouble, method: Method) -> bool:
    match trouble:
        case "none":
            return False
        case "sender":
            return method != "unicast"
        case "switch":
            return method in _MULTICAST
        case "changed":
            return method == "p2p"
        case _:
            return True
