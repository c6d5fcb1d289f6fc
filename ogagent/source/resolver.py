"""Connections go only to allowed networks: the address that is connected to is the one that was checked."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ogagent.errors import RepositoryNotAllowed, RepositoryUnreachable
from ogagent.model.repository import Networks, is_half_an_address, is_within
from ogagent.source.location import shown


def check_host(url: URL, networks: Networks | None) -> None:
    """An address in a URL is never resolved, so it is checked here; a name only for whether it can be resolved.

    ``networks`` None: from anywhere.
    """
    host = url.raw_host or ""  # ``url.host`` raises for a name that begins with xn-- and is no Punycode
    try:
        host.encode("idna")  # as sockets do it
    except UnicodeError as error:
        raise RepositoryUnreachable(f"{shown(host)} is no host name: {error}") from error
    if not host:
        raise RepositoryUnreachable(f"{shown(str(url))} names no host")
    if is_half_an_address(host):
        raise RepositoryUnreachable(f"{host} is neither a host name nor an address")
    try:
        inside = networks is None or is_within(host, networks)
    except ValueError:
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
        found = await self._resolver.resolve(host, port, family)
        inside = [result for result in found if is_within(result["host"], self._networks)]
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
