"""The images of the repository; those that are corrupt are not offered."""

from __future__ import annotations

import ssl
import uuid
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from simulator.ogcore.agents import GARBLED
from simulator.ogcore.views import ImageView

_LONGEST_LIST: Final = 1 << 22
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3)
_IDS: Final = {"image-test": "01936caf-facb-72ad-9446-97e7dbf2b96a"}
# Partition codes by the file system that the repository's notes on an image name, in partclone's words.
_CODES: Final = {"NTFS": "7", "EXFAT": "7", "FAT": "c", "FAT16": "6", "FAT32": "c", "HFS PLUS": "af"}
_LINUX: Final = "83"
_KIB: Final = 1 << 10


class Image(Struct, frozen=True):
    name: str
    state: str
    size: int
    reason: str = ""
    container: str = ""
    format: str = ""
    info: str = ""

    @property
    def id(self) -> str:
        """ogCore's own number for the image, the same each time."""
        return _IDS.get(self.name) or str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))

    @property
    def code(self) -> str:
        return _CODES.get(self._noted(2).upper(), _LINUX)

    @property
    def offered(self) -> bool:
        return self.state != "corrupt"

    def view(self) -> ImageView:
        data_kib = self._noted(3)
        return ImageView(
            id=self.id,
            name=self.name,
            state=self.state,
            offered=self.offered,
            reason=self.reason,
            size=self.size,
            container=self.container,
            format=self.format,
            filesystem=self._noted(2),
            data_size=int(data_kib) * _KIB if data_kib.isdecimal() else None,
            origin=self._noted(4),
        )

    def _noted(self, place: int) -> str:
        """From the repository's notes, CLONATOR:COMPRESSOR:FSTYPE:DATASIZE_KB:CLIENT."""
        notes = self.info.split(":")
        return notes[place] if place < len(notes) else ""


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
