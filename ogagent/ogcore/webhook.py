"""One report on its way to ogCore."""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from ogagent import __version__
from ogagent.system.tls import certificate_hint

# Older servers insist on the beginning.
USER_AGENT: Final = f"python-requests/0 ogagent/{__version__}"
TIMEOUT_S: Final = 10.0
MAX_RETRY_AFTER_S: Final = 3600.0

Report = Mapping[str, Any]

_AGAIN: Final = frozenset({408, 425, 429})
_UNKNOWN: Final = frozenset({401, 403, 404, 405, 407, 421, 426, 451})
"""An ogCore that has lost what it knew of this agent, or one that a proxy answers for: no word about the report."""
_MAX_ANSWER: Final = 4096
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class Delivered(Struct, frozen=True):
    pass


class Again(Struct, frozen=True):
    """Not now; ``after_s`` is the wait that ogCore asked for, 0 when it did not.

    ``unknown``: whoever answers does not know this agent, so that it has to register once more. ``hint``: what to do
    about it; it may tell the time, and be another one for the same ``reason``.
    """

    reason: str
    after_s: float = 0.0
    unknown: bool = False
    hint: str = ""

    @property
    def said(self) -> str:
        """For the log."""
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


class Refused(Struct, frozen=True):
    """It would be refused again."""

    reason: str

    @property
    def said(self) -> str:
        return self.reason


Outcome = Delivered | Again | Refused


def open_session(tls: ssl.SSLContext, source: str, timeout_s: float = TIMEOUT_S) -> aiohttp.ClientSession:
    """Connections leave from the address ``source``, from any when it is empty. To be called on the event loop."""
    connector = aiohttp.TCPConnector(ssl=tls, local_addr=(source, 0) if source else None)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Content-Type": "application/json"},
    )


class Webhook:
    """One path of ogCore that reports are posted to."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: str) -> None:
        self._session = session
        self._url = url
        self._secret = secret
        self._quoted = _quoted(secret)

    async def post(self, event_id: str, report: Report) -> Outcome:
        body = msgspec.json.encode(report)
        headers = {"X-OgAgent-Event": event_id, "X-OgAgent-Signature": self._signature(body)}
        try:
            request = self._session.post(self._url, data=body, headers=headers, allow_redirects=False)
            async with request as response:
                return await self._outcome(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return Again(f"{type(error).__name__} {error}".strip(), hint=certificate_hint(error))

    def _signature(self, body: bytes) -> str:
        return f"sha256={hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()}"

    async def _outcome(self, response: aiohttp.ClientResponse) -> Outcome:
        """What is neither 2xx nor a final refusal, a redirect say, may be different next time."""
        answer = await _beginning(response)
        if 200 <= response.status < 300:
            return Delivered()
        # Reasons are logged, and a server may quote what it was sent.
        reason = f"{response.status} {self._quoted.sub('***', answer)[:200]!r}"
        unknown = response.status in _UNKNOWN
        if 400 <= response.status < 500 and response.status not in _AGAIN and not unknown:
            return Refused(reason)
        after_s = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
        return Again(reason, after_s, unknown)


def _quoted(secret: str) -> re.Pattern[str]:
    """The secret as it is, and as JSON may write it: RFC 8259, section 7."""
    return re.compile("".join(rf"(?:\\?{re.escape(each)}|\\u(?i:{ord(each):04x}))" for each in secret))


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """A short body is read to its end, so that the connection can be used again; how it ends does not matter."""
    answer = bytearray()
    with suppress(aiohttp.ClientError, OSError):
        while len(answer) < _MAX_ANSWER and (piece := await response.content.read(_MAX_ANSWER)):
            answer += piece
    return answer.decode(errors="replace")


def retry_after(header: str, now: datetime) -> float:
    """Seconds, or a date, RFC 9110 section 10.2.3; at most MAX_RETRY_AFTER_S, 0 for anything else."""
    if _SECONDS.fullmatch(header.strip()):
        return min(float(header), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
