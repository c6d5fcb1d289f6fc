"""Who may change what the repository holds: whoever shows its token (RFC 6750)."""

from __future__ import annotations

import hmac

from aiohttp import web


class Access:
    def __init__(self, token: str) -> None:
        """Without a token nobody may change anything."""
        self._token = token.encode()

    @property
    def is_open(self) -> bool:
        """For what changes no image."""
        return not self._token

    def demand(self, request: web.Request) -> None:
        """Raises HTTPUnauthorized where no token is shown, HTTPForbidden where it is not the right one."""
        if not self._token:
            raise web.HTTPForbidden(text="this repository is not written to: it was started without a token\n")
        scheme, _, shown = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise web.HTTPUnauthorized(text="a token is needed\n", headers={"WWW-Authenticate": "Bearer"})
        if not hmac.compare_digest(shown.strip().encode(errors="surrogateescape"), self._token):
            raise web.HTTPForbidden(text="this is not the repository's token\n")
