"""Where images are: the host that a request names, and the URL that the configuration makes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

Networks = Sequence[IPv4Network | IPv6Network]

_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Sockets take 2130706433, 127.1 and 0x7f.1 for 127.0.0.1: inet_aton(3).
_NUMBER: Final = r"([0-9]+|0[xX][0-9A-Fa-f]*)"
HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$)(?!(.*\.)?{_NUMBER}$){_LABEL}(\.{_LABEL})*")
"""RFC 1123, 2.1: labels of letters, digits and inner hyphens, the last one no number. The lengths: RFC 1035, 2.3.4."""
_ENDS_IN_A_NUMBER: Final = re.compile(rf"(.*\.)?{_NUMBER}\.?")


def is_host(text: str) -> bool:
    """An IP address, or the name of a host. An address with a zone means something on one machine alone."""
    return _is_address(text) or HOST_NAME.fullmatch(text) is not None


def is_half_an_address(host: str) -> bool:
    """Neither an address nor the name of a host, and yet some resolvers make an address of it."""
    return not _is_address(host) and _ENDS_IN_A_NUMBER.fullmatch(host) is not None


def is_within(address: str, networks: Networks) -> bool:
    """An IPv4 address that is written as one of IPv6 is still that. Raises ValueError for what is no address."""
    parsed = ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def image_url(template: str, host: str, name: str) -> str:
    """``template`` is ``repository.url`` of the configuration, ``name`` the image's without extension."""
    return template.replace("{ipr}", f"[{host}]" if ":" in host else host).replace("{nci}", name)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
