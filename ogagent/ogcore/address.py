"""The address that ogCore knows this client by."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

import psutil
from msgspec import Struct

_HTTPS: Final = 443


class LocalAddress(Struct, frozen=True):
    """``mac`` is that of the interface which holds ``ip``; empty when it has none."""

    ip: str
    mac: str


def local_address(url: str, source: str) -> LocalAddress:
    """The end of a connection to ``url`` that leaves from ``source``, from any address when it is empty. Blocking.

    Raises OSError when there is no way to ogCore.
    """
    ip = _source_towards(url, source)
    return LocalAddress(ip, _mac_of(ip))


def _source_towards(url: str, source: str) -> str:
    """Connecting a UDP socket only chooses a route: no packet is sent."""
    parts = urlsplit(url)
    where = (parts.hostname, parts.port or _HTTPS)
    family, kind, _, _, address = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        if source:
            probe.bind((source, 0))
        probe.connect(address)
        return str(probe.getsockname()[0]).partition("%")[0]


def _mac_of(ip: str) -> str:
    for addresses in psutil.net_if_addrs().values():
        if any(entry.address.partition("%")[0] == ip for entry in addresses):
            return next((str(entry.address).lower() for entry in addresses if entry.family == psutil.AF_LINK), "")
    return ""
