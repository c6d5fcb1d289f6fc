"""How OpenGnsys' own clients ask their repository to send: ``ogMcastRequest`` and ``ogAdmRepoAux``."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

_log: Final = logging.getLogger(__name__)

PORT: Final = 2009
_PATIENCE_S: Final = 5.0


async def request_multicast(repository: str, file: str, options: str, port: int = PORT) -> None:
    """``file`` as it is called below the images' directory. Nothing comes back, so that is all that can be told: who
    has not been heard asks again.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, writer = await asyncio.open_connection(repository, port)
            try:
                writer.write(f"START_MULTICAST {file} {options}".encode())
                await writer.drain()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        _log.warning("the repository %s is not asked for the session: %s", repository, error or "it does not answer")
