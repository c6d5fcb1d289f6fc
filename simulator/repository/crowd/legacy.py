"""TCP 2009 of older OpenGnsys: a client asks for a session, hears nothing, and asks again until somebody sends."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from simulator.repository.crowd.engines import ENGINES
from simulator.repository.crowd.sessions import Sessions
from simulator.repository.crowd.wanted import SessionRefused, read_session
from simulator.repository.names import IMAGE_SUFFIX

_LONGEST: Final = 512
_PATIENCE_S: Final = 5.0
_MOST: Final = 64
_WORD: Final = "START_MULTICAST"

_log = logging.getLogger(__name__)


class Legacy:
    """``START_MULTICAST FILE SESSION``, without an end of line; FILE is relative to the images. All clients ask for the
    same one: whoever comes second is refused its port, and does not mind.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._asking = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking += 1
        try:
            if self._asking <= _MOST:
                await self._begin(await _read(reader))
        except SessionRefused as refusal:
            _log.info("a session was refused: %r", str(refusal))
        except (OSError, UnicodeDecodeError) as error:
            _log.warning("a request for a session cannot be read: %s", error)
        finally:
            self._asking -= 1
            writer.close()

    async def _begin(self, text: str) -> None:
        word, _, rest = text.strip().partition(" ")
        file, _, session = rest.rpartition(" ")
        if word != _WORD or not file:
            raise SessionRefused(400, f"{word[:20]!r} is not {_WORD} FILE SESSION")
        image = file.strip().lstrip("/").removesuffix(IMAGE_SUFFIX)
        await self._sessions.begin(ENGINES["udpcast"], read_session(image, session))


async def _read(reader: asyncio.StreamReader) -> str:
    """Until the client has no more to say, or says nothing more. Raises OSError, or UnicodeDecodeError."""
    data = b""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while len(data) < _LONGEST and (piece := await reader.read(_LONGEST)):
                data += piece
    except TimeoutError:
        pass
    return data.decode("ascii")
