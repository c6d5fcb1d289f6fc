"""Where the agent is reached: its certificate, and the socket that it listens on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import psutil
from aiohttp import web

from ogagent import __version__
from ogagent.errors import SettingsError
from ogagent.http.listener import Acceptor, listening
from ogagent.settings import Settings
from ogagent.system.tls import ServerIdentity, given_identity, own_identity, server_context

_log: Final = logging.getLogger(__name__)


def identity_of(settings: Settings) -> ServerIdentity:
    """Blocking. Raises SettingsError."""
    server = settings.server
    if server.certificate:
        return given_identity(Path(server.certificate), Path(server.key))
    interfaces = [each.address for found in psutil.net_if_addrs().values() for each in found]
    addresses = [address for address in interfaces if _is_plain_address(address)]
    if not ip_address(server.address).is_unspecified:
        addresses.append(server.address)
    return own_identity(settings.state.place, sorted(set(addresses)))


def _is_plain_address(address: str) -> bool:
    with suppress(ValueError):
        return not ip_address(address).is_link_local
    return False


@asynccontextmanager
async def open_front(app: web.Application, settings: Settings, identity: ServerIdentity) -> AsyncIterator[Acceptor]:
    """Raises SettingsError when nothing can be heard there."""
    server = settings.server
    tls = await asyncio.to_thread(server_context, identity, _client_ca(settings))
    async with AsyncExitStack() as stack:
        try:
            acceptor = await stack.enter_async_context(listening(app, server.address, server.port, tls))
        except OSError as error:
            raise SettingsError(f"cannot listen on {server.address} port {server.port}: {error.strerror}") from error
        _log.info(
            "ogagent %s listens on %s port %d, certificate SHA-256 %s",
            __version__, server.address, server.port, identity.fingerprint,
        )  # fmt: skip
        yield acceptor


def _client_ca(settings: Settings) -> str:
    return settings.access.client_ca if settings.access.mode == "certificate" else ""


async def renew_client_ca(
    hangup: asyncio.Event, acceptor: Acceptor, settings: Settings, identity: ServerIdentity
) -> None:
    """After each SIGHUP. A file that cannot be used changes nothing."""
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            acceptor.tls = await asyncio.to_thread(server_context, identity, _client_ca(settings))
        except (SettingsError, OSError) as error:
            _log.warning("SIGHUP: access.client_ca stays as it was: %s", error)
        else:
            _log.info("SIGHUP: access.client_ca was read again")
