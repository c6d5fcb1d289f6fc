"""Connections go only to allowed networks: the address that is connected to is the one that was checked."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ogagent.errors import RepositoryNotAllowed, RepositoryUnreachable

# The last part of 2130706433, 127.1 or 0x7f.1, which sockets take for 127.0.0.1. No host name ends in one.
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_SHOWN: Final = 100  # characters

Networks = Sequence[IPv4Network | IPv6Network]


def allowed(address: str, networks: Networks) -> bool:
    parsed = ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def check_literal(url: URL, networks: Networks) -> None:
    """An address in a URL is never resolved, so it is checked here."""
    host = url.host or ""
    try:
        inside = allowed(host, networks)
    except ValueError as error:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise RepositoryUnreachable(f"{host} is neither a host name nor an address") from error
        return  # a name: the resolver will see it
    if not inside:
        raise RepositoryUnreachable(f"{host} is outside repository.allow", hint="see repository.allow")


class AllowedResolver(AbstractResolver):
    """A name is asked for once; from then on, as long as this resolver lives, it stands for the same addresses.

    Raises RepositoryNotAllowed, which is no OSError and so is never tried again, for a name that leads outside.
    """

    def __init__(self, networks: Networks, resolver: AbstractResolver | None = None) -> None:
        self._networks = networks
        self._resolver = resolver or ThreadedResolver()
        self._pinned: dict[tuple[str, int, int], list[ResolveResult]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if pinned := self._pinned.get((host, port, family)):
            return pinned
        try:
            found = await self._resolver.resolve(host, port, family)
        except UnicodeError as error:  # a part of it is empty, or longer than the 63 bytes that DNS has room for
            raise RepositoryUnreachable(f"{host[:_SHOWN]!r} is not a host name") from error
        inside = [result for result in found if allowed(result["host"], self._networks)]
        if not inside:
            raise RepositoryNotAllowed(
                f"repository {host} is {', '.join(result['host'] for result in found)}, outside repository.allow",
                field="ipr",
                hint="see repository.allow in the agent's configuration",
            )
        self._pinned[host, port, family] = inside  # as many as there are redirects, at most
        return inside

    async def close(self) -> None:
        await self._resolver.close()
