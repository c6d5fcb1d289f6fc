"""Who may call: a secret in the Authorization header, or an address in a network that is trusted."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ogagent.errors import CallerNotAllowed, CredentialMissing, CredentialWrong, SettingsError, TooManyRequests
from ogagent.settings import AccessSettings, Network

OPEN_PATHS: Final = frozenset({"/healthz", "/opengnsys/status"})
WINDOW_S: Final = 60
REFUSALS: Final = 20
"""So many refused credentials in WINDOW_S seconds are borne from one address."""

_ADDRESSES: Final = 4096
_SECRET_LENGTH: Final = 32
_SECRET_FILE_SIZE: Final = 4096


class Access(Protocol):
    def check(self, remote: str, authorization: str) -> None:
        """``remote`` is the caller's IP address, ``authorization`` the header or empty. Raises AccessDenied."""


def make_access(settings: AccessSettings, secret: str) -> Access:
    return AddressAccess(settings.networks) if settings.mode == "address" else SecretAccess(secret)


def guard(access: Access) -> Middleware:
    """Asks before anything is said, also about which paths exist."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_PATHS:
            access.check(request.remote or "", request.headers.get("Authorization", ""))
        return await handler(request)

    return checked


class AddressAccess:
    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks

    def check(self, remote: str, authorization: str) -> None:  # noqa: ARG002 - no credential in this mode
        try:
            address = ip_address(remote)
        except ValueError as error:
            raise CallerNotAllowed("the caller has no IP address") from error
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if not any(address in network for network in self._networks):
            raise CallerNotAllowed(f"{address} may not call this agent", hint="add its network to access.allow")


class SecretAccess:
    """OpenGnsys sends the secret bare; ``Bearer`` in front of it is accepted too."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret.encode()
        self._refusals = Refusals(clock)

    def check(self, remote: str, authorization: str) -> None:
        if self._refusals.too_many(remote):
            raise _too_many(remote)
        scheme, _, token = authorization.strip().partition(" ")
        credential = token.strip() if scheme.lower() == "bearer" else authorization.strip()
        if not credential:
            raise CredentialMissing("the Authorization header is missing", hint="send Authorization: <secret>")
        if hmac.compare_digest(credential.encode(errors="surrogateescape"), self._secret):
            return
        self._refusals.add(remote)
        if self._refusals.too_many(remote):
            raise _too_many(remote)
        raise CredentialWrong("the credential is not the secret of this agent")


def _too_many(remote: str) -> TooManyRequests:
    return TooManyRequests(f"more than {REFUSALS} refused credentials a minute from {remote}")


class Refusals:
    """When each address was refused lately. With too many addresses the one refused longest ago is forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, remote: str) -> None:
        times = self._times.setdefault(remote, deque(maxlen=REFUSALS + 1))
        times.append(self._clock())
        self._times.move_to_end(remote)
        if len(self._times) > _ADDRESSES:
            self._times.popitem(last=False)

    def too_many(self, remote: str) -> bool:
        times = self._times.get(remote)
        return times is not None and len(times) > REFUSALS and self._clock() - times[0] < WINDOW_S


# --- the secret ---------------------------------------------------------------------------------------------------


def agent_secret(settings: AccessSettings) -> str:
    """The fixed one, or a fresh one. Reports to ogCore are signed with it in every mode. Raises SettingsError."""
    return _read_secret(Path(settings.secret_file)) if settings.secret_file else secrets.token_urlsafe(32)


def _read_secret(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            exposed = stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077
            secret = stream.read(_SECRET_FILE_SIZE).decode("ascii").strip()
    except OSError as error:
        raise SettingsError(f"access.secret_file: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"access.secret_file: {file} holds something that is not ASCII") from error
    if exposed:
        raise SettingsError(f"access.secret_file: {file} can be read by others", hint=f"chmod 600 {file}")
    if len(secret) < _SECRET_LENGTH:
        raise SettingsError(f"access.secret_file: the secret in {file} is shorter than {_SECRET_LENGTH} characters")
    if not secret.isprintable() or " " in secret:
        raise SettingsError(f"access.secret_file: {file} holds more than one word, a header could not carry it")
    return secret
