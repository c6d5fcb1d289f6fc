"""Whether ogCore answers, and shows a certificate that is believed."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from yarl import URL

from ogagent.check.finding import Finding, ok, problem, warning
from ogagent.errors import SettingsError
from ogagent.settings import OgCoreSettings
from ogagent.system.tls import certificate_hint, client_context

_WHAT: Final = "ogCore"
_PATIENCE_S: Final = 10.0


async def ogcore(settings: OgCoreSettings) -> Finding:
    if not settings.url:
        return warning(_WHAT, "ogcore.url is empty: nobody is told of anything", "write it into the configuration")
    url = URL(settings.url)
    try:
        context = await asyncio.to_thread(client_context, settings.ca, "ogcore.ca")
        async with asyncio.timeout(_PATIENCE_S):
            ends = await _certificate_ends(str(url.host), url.port or 443, context)
    except SettingsError as error:
        return problem(_WHAT, error.message, error.hint)
    except TimeoutError:
        return problem(_WHAT, f"{settings.url} does not answer within {_PATIENCE_S:g} s", "look at the network")
    except ssl.SSLCertVerificationError as error:
        hint = certificate_hint(error) or "ogcore.ca has to be the CA that has signed it"
        return problem(_WHAT, f"the certificate of {settings.url} is not believed: {error.verify_message}", hint)
    except OSError as error:
        return problem(_WHAT, f"{settings.url}: {error.strerror or error}", "look at ogcore.url, and at the network")
    return ok(_WHAT, f"{settings.url}, with a certificate until {ends}")


async def _certificate_ends(host: str, port: int, context: ssl.SSLContext) -> str:
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        return str((writer.get_extra_info("peercert") or {}).get("notAfter", "?"))
    finally:
        writer.transport.abort()
