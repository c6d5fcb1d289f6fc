"""The images that ogCore can offer: what the repository has, without those that are corrupt."""

from __future__ import annotations

import ssl
import uuid
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from simulator.ogcore.agents import GARBLED

_LONGEST_LIST: Final = 1 << 22
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3)
_IDS: Final = {"image-test": "01936caf-facb-72ad-9446-97e7dbf2b96a"}
# Partition codes by the file system that the repository's notes on an image name, in partclone's words.
_CODES: Final = {"NTFS": "7", "EXFAT": "7", "FAT": "c", "FAT16": "6", "FAT32": "c", "HFS PLUS": "af"}
_LINUX: Final = "83"


class Image(Struct, frozen=True):
    name: str
    state: str
    size: int
    reason: str = ""
    info: str = ""

    @property
    def id(self) -> str:
        """ogCore's own number for the image, the same each time."""
        return _IDS.get(self.name) or str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))

    @property
    def code(self) -> str:
        _, _, filesystem, *_ = [*self.info.split(":"), "", "", ""]
        return _CODES.get(filesystem.upper(), _LINUX)

    @property
    def offered(self) -> bool:
        return self.state != "corrupt"


class RepositoryUnreachable(Exception):
    pass


class Images:
    def __init__(self, session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None) -> None:
        """``tls`` may be None for a repository without TLS."""
        self._session = session
        self._url = f"{url.rstrip('/')}/ogrepository/images"
        self._tls = tls
        self.host = urlsplit(url).hostname or ""

    async def all(self) -> list[Image]:
        try:
            async with self._session.get(self._url, ssl=self._tls or True, timeout=_TIMEOUT) as response:
                response.raise_for_status()
                body = await response.content.read(_LONGEST_LIST)
                while len(body) < _LONGEST_LIST and (piece := await response.content.read(_LONGEST_LIST)):
                    body += piece
            return msgspec.json.decode(body, type=dict[str, list[Image]])["images"]
        except (aiohttp.ClientError, OSError, KeyError, *GARBLED) as error:
            raise RepositoryUnreachable(f"the repository {self.host} does not answer: {error!r}") from None

    async def named(self, name: str) -> Image | None:
        return next((image for image in await self.all() if image.name == name), None)
