"""Connections go only to allowed networks: the address that is connected to is the one that was checked."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ogagent.errors import RepositoryNotAllowed, RepositoryUnreachable

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
    except ValueError:
        return  # a name: the resolver will see it
    if not inside:
        raise RepositoryUnreachable(f"{host} is outside repository.allow", hint="see repository.allow")


class AllowedResolver(AbstractResolver):
    """Raises RepositoryNotAllowed, which is no OSError and so is never tried again, for a name that leads outside."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        inside = [result for result in found if allowed(result["host"], self._networks)]
        if not inside:
            raise RepositoryNotAllowed(
                f"repository {host} is {', '.join(result['host'] for result in found)}, outside repository.allow",
                field="ipr",
                hint="see repository.allow in the agent's configuration",
            )
        return inside

    async def close(self) -> None:
        await self._resolver.close()
