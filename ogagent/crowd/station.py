"""This PC among others: where it hears them, how long it waits for them, and who its engines run as."""

from __future__ import annotations

import socket
from typing import Final

import psutil
from msgspec import Struct

from ogagent.crowd.order import Order, Share
from ogagent.model.repository import Networks
from ogagent.system.account import Account

_OWN: Final = 65_519
"""The last of those that systemd keeps for services which have nobody else's: Users, Groups, UIDs and GIDs on systemd
Systems, "Special UIDs and GIDs"."""
ENGINE: Final = Account(uid=_OWN, gid=_OWN, groups=(), name="ogagent-crowd", home="/")
"""Engines read what strangers send. They have no right to anything: not to a disk, nor to a file."""
_DISCARD: Final = 9  # RFC 863; nothing is sent there


class Station(Struct, frozen=True, kw_only=True):
    """``interface`` is the name of the network card that leads to the others, ``address`` this PC's own for peers, or
    the name of the card that has it, and ``networks`` those of whom it may speak with; ``upload_limit`` in bytes a
    second, times in seconds.
    """

    interface: str
    join_timeout_s: float
    stall_s: float
    account: Account | None = ENGINE
    repository: str = ""
    address: str = "0.0.0.0"  # noqa: S104 - all that it has
    peer_port: int = 6881
    upload_limit: int = 0
    networks: Networks = ()

    def order(self, shares: list[Share], *, uploads: bool = True) -> Order:
        """For a peer of this PC."""
        account = self.account or ENGINE
        return Order(
            shares=shares,
            address=self.address,
            port=self.peer_port,
            allow=[str(network) for network in self.networks],
            uploads=uploads,
            limit=self.upload_limit,
            uid=account.uid,
            gid=account.gid,
        )


def interface_to(host: str) -> str:
    """The network card by which this machine reaches ``host``; empty when there is none. Blocking."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, _DISCARD, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            own = probe.getsockname()[0]
    except OSError:
        return ""
    cards = psutil.net_if_addrs().items()
    return next((name for name, addresses in cards if any(each.address == own for each in addresses)), "")


def speed_of(interface: str) -> int:
    """What the card has agreed on with its switch, in bits a second; 0 when it does not say. Blocking."""
    found = psutil.net_if_stats().get(interface)
    return 0 if found is None else max(found.speed, 0) * 10**6
