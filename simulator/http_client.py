"""Asking the servers of the lab, from a program that waits for the answer."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final

from msgspec import Struct

from simulator.errors import LabError

_TIMEOUT_S: Final = 30.0
_LONGEST_ANSWER: Final = 1 << 22


class Place(Struct, frozen=True):
    """Where a server listens."""

    address: str
    port: int

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"


class Unreachable(LabError):
    """Nobody answers, or not in a way that can be understood."""


class Server:
    """One server, over HTTPS, or without TLS. What it answers with is an object, empty when it sends none."""

    def __init__(self, place: Place, tls: ssl.SSLContext | None) -> None:
        self.place = place
        self._tls = tls

    def get(self, path: str) -> dict[str, Any]:
        """Raises LabError, in the server's own words, when it refuses."""
        return self._call("GET", path, None)

    def post(self, path: str, members: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._call("POST", path, json.dumps(members or {}))

    def _call(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        where = (self.place.address, self.place.port)
        connection = (
            http.client.HTTPConnection(*where, timeout=_TIMEOUT_S)
            if self._tls is None
            else http.client.HTTPSConnection(*where, timeout=_TIMEOUT_S, context=self._tls)
        )
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            text = response.read(_LONGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.place.url} does not answer: {error}") from None
        finally:
            connection.close()
        return _members(self.place, response.status, text)


def _members(place: Place, status: int, text: bytes) -> dict[str, Any]:
    try:
        members = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise Unreachable(f"{place.url} answered {status} with something that is not a JSON object")
    if status >= 400:
        raise LabError(str(members.get("error") or f"{place.url} answered {status}"))
    return members
