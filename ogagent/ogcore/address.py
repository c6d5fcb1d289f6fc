"""The address that ogCore knows this client by."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
from msgspec import Struct

_HTTPS: Final = 443
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


class LocalAddress(Struct, frozen=True):
    """``mac`` is that of the interface which holds ``ip``; empty when it has none."""

    ip: str
    mac: str


def local_address(url: str, listening: str) -> LocalAddress:
    """Where ogCore at ``url`` can call an agent that listens on ``listening``. Blocking.

    That is the near end of a connection to it, if somebody listens there: ``0.0.0.0`` is all addresses of IPv4 and none
    of IPv6, ``::`` all of both. Raises OSError when there is no way to ogCore, or none back.
    """
    server = ip_address(listening)
    if not server.is_unspecified:
        ip = _source_towards(url, _FAMILIES[server.version], listening)
    elif server.version == 6:
        ip = _source_towards(url, socket.AF_UNSPEC)
    else:
        ip = _ipv4_towards(url)
    return LocalAddress(ip, _mac_of(ip))


def _ipv4_towards(url: str) -> str:
    """Where ogCore is reached by IPv6 alone, the IPv4 address of the interface that reaches it."""
    try:
        return _source_towards(url, socket.AF_INET)
    except OSError:
        ip = _source_towards(url, socket.AF_INET6)
    for entry in _interface_with(ip):
        if entry.family == socket.AF_INET:
            return str(entry.address)
    raise OSError(f"ogCore is reached from {ip}, and nobody listens there: set server.address to '::'")


def _source_towards(url: str, family: socket.AddressFamily, source: str = "") -> str:
    """Connecting a UDP socket only chooses a route: no packet is sent."""
    parts = urlsplit(url)
    found = socket.getaddrinfo(parts.hostname, parts.port or _HTTPS, family=family, type=socket.SOCK_DGRAM)
    failure = OSError("it has no address")
    for kind, _, _, _, address in found:
        try:
            with socket.socket(kind, socket.SOCK_DGRAM) as probe:
                if source:
                    probe.bind((source, 0))
                probe.connect(address)
                return str(probe.getsockname()[0]).partition("%")[0]
        except OSError as error:
            failure = error
    raise failure


def _mac_of(ip: str) -> str:
    return next((str(entry.address).lower() for entry in _interface_with(ip) if entry.family == psutil.AF_LINK), "")


def _interface_with(ip: str) -> list[Any]:
    """All addresses of the interface that has this one; empty when none has."""
    for addresses in psutil.net_if_addrs().values():
        if any(entry.address.partition("%")[0] == ip for entry in addresses):
            return list(addresses)
    return []
