"""Where sessions are sent from, when nobody says it: the way to the clients."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, ip_interface
from typing import Final

import psutil

from simulator.errors import LabError

_ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - what somebody else has bound
_GROUP: Final = ("239.194.0.1", 9)


def own_address(listening: str) -> str:
    """``listening``, unless that is everywhere: then the one that goes out to a multicast group."""
    if listening != _ANYWHERE:
        return listening
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_GROUP)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def interface_of(address: str) -> str:
    """The name of the one that has ``address``, or its network. Raises LabError."""
    try:
        wanted = IPv4Address(address)
    except ValueError:
        raise LabError(f"{address} is no IPv4 address", hint="udpcast needs one: give it with --address") from None
    for name, addresses in psutil.net_if_addrs().items():
        for each in addresses:
            if each.family == socket.AF_INET and wanted in ip_interface(f"{each.address}/{each.netmask}").network:
                return str(name)
    raise LabError(f"no interface has the address {address}", hint="name one with --interface")
