"""Who may call: a secret in the Authorization header, a certificate of a trusted CA, or an address that is trusted."""

from __future__ import annotations

import hmac
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Container
from contextlib import suppress
from ipaddress import ip_address
from typing import Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Struct

from ogagent.errors import AccessDenied, CallerNotAllowed, CredentialMissing, CredentialWrong, TooManyRequests
from ogagent.settings import AccessSettings, Network

_log: Final = logging.getLogger(__name__)

WINDOW_S: Final = 60
REFUSALS: Final = 20
"""So many refused credentials in WINDOW_S seconds are borne from one address."""

_ADDRESSES: Final = 4096


class Caller(Struct, frozen=True, kw_only=True):
    """``address`` is an IP address, IPv4 also where the socket says it in IPv6; ``authorization`` the header or empty.

    ``certified``: the handshake has shown a certificate of ``access.client_ca``.
    """

    address: str
    authorization: str = ""
    certified: bool = False


class Access(Protocol):
    def check(self, caller: Caller) -> None:
        """Raises AccessDenied."""


def make_access(settings: AccessSettings, secret: str) -> Access:
    if settings.mode == "address":
        _log.warning(
            "access.mode is address: whoever takes or fakes an address in %s can overwrite the disks of this machine",
            ", ".join(settings.allow),
        )
        return AddressAccess(settings.networks)
    return CertificateAccess() if settings.mode == "certificate" else SecretAccess(secret)


def guard(access: Access, open_paths: Container[str], clock: Callable[[], float] = time.monotonic) -> Middleware:
    """Asks before anything is said, also about which paths exist.

    The log tells of an address that is turned away once in WINDOW_S seconds: nobody fills it who has no credential.
    """
    told = Refusals(clock, most=0)

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in open_paths:
            caller = caller_of(request)
            try:
                access.check(caller)
            except AccessDenied as error:
                level = logging.DEBUG
                if not told.too_many(caller.address):
                    told.add(caller.address)
                    level = logging.INFO
                _log.log(
                    level, "%s %s from %s refused: %s", request.method, request.path, request.remote, error.message
                )
                raise
        return await handler(request)

    return checked


def caller_of(request: web.Request) -> Caller:
    return Caller(
        address=plain_address(request.remote or ""),
        authorization=request.headers.get("Authorization", ""),
        certified=bool(request.get_extra_info("peercert")),
    )


def plain_address(remote: str) -> str:
    """A mapped address (``::ffff:192.168.2.1``) is the IPv4 address in it; empty for what is no address."""
    with suppress(ValueError):
        address = ip_address(remote)
        return str(getattr(address, "ipv4_mapped", None) or address)
    return ""


class AddressAccess:
    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks

    def check(self, caller: Caller) -> None:
        if not caller.address:
            raise CallerNotAllowed("the caller has no IP address")
        address = ip_address(caller.address)
        if not any(address in network for network in self._networks):
            raise CallerNotAllowed(f"{address} may not call this agent", hint="add its network to access.allow")


class CertificateAccess:
    """The handshake has refused every wrong certificate, see ``system.tls.server_context``."""

    def check(self, caller: Caller) -> None:
        if not caller.certified:
            raise CredentialMissing(
                "this call needs a client certificate",
                hint="present one that access.client_ca of the agent vouches for",
            )


class SecretAccess:
    """OpenGnsys sends the secret bare; ``Bearer`` in front of it is accepted too.

    The right one is always let in: an ogCore that came with an old one, again and again, is not locked out by that when
    it has learned the new one, and nobody can lock it out from its address. Of 256 bits nobody guesses any.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret.encode()
        self._refusals = Refusals(clock)

    def check(self, caller: Caller) -> None:
        scheme, _, token = caller.authorization.strip().partition(" ")
        credential = token.strip() if scheme.lower() == "bearer" else caller.authorization.strip()
        if credential and hmac.compare_digest(credential.encode(errors="surrogateescape"), self._secret):
            return
        if self._refusals.too_many(caller.address):
            raise _too_many(caller.address)
        if not credential:
            raise CredentialMissing("the Authorization header is missing", hint="send Authorization: <secret>")
        self._refusals.add(caller.address)
        if self._refusals.too_many(caller.address):
            raise _too_many(caller.address)
        raise CredentialWrong("the credential is not the secret of this agent")


def _too_many(address: str) -> TooManyRequests:
    return TooManyRequests(f"more than {REFUSALS} refused credentials a minute from {address}")


class Refusals:
    """When each address was refused lately. With too many addresses the one refused longest ago is forgotten."""

    def __init__(self, clock: Callable[[], float], most: int = REFUSALS) -> None:
        """More than ``most`` in WINDOW_S seconds are too many."""
        self._clock = clock
        self._most = most
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, remote: str) -> None:
        times = self._times.setdefault(remote, deque(maxlen=self._most + 1))
        times.append(self._clock())
        self._times.move_to_end(remote)
        if len(self._times) > _ADDRESSES:
            self._times.popitem(last=False)

    def too_many(self, remote: str) -> bool:
        times = self._times.get(remote)
        return times is not None and len(times) > self._most and self._clock() - times[0] < WINDOW_S
