"""The images of the repository, and their previous versions; those that are corrupt are not offered."""

from __future__ import annotations

import ssl
import uuid
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from simulator.ogcore.agents import GARBLED, reason
from simulator.ogcore.created import Created
from simulator.ogcore.views import ImageView, PreviousView

_LONGEST_LIST: Final = 1 << 22
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3)
_IDS: Final = {"image-test": "01936caf-facb-72ad-9446-97e7dbf2b96a"}
# Partition codes by the file system that the repository's notes on an image name, in partclone's words.
_CODES: Final = {"NTFS": "7", "EXFAT": "7", "FAT": "c", "FAT16": "6", "FAT32": "c", "HFS PLUS": "af"}
_LINUX: Final = "83"
_KIB: Final = 1 << 10
_OK: Final = 200


class Previous(Struct, frozen=True):
    size: int
    modified: datetime | None = None


class Image(Struct, frozen=True):
    """As the repository describes it; an older one says less."""

    name: str
    state: str
    size: int
    reason: str = ""
    container: str = ""
    format: str = ""
    info: str = ""
    modified: datetime | None = None
    previous: Previous | None = None
    locked: bool = False

    @property
    def id(self) -> str:
        return image_id(self.name)

    @property
    def code(self) -> str:
        return _CODES.get(self._noted(2).upper(), _LINUX)

    @property
    def offered(self) -> bool:
        return self.state != "corrupt"

    def view(self, created: Created | None, *, can_put_back: bool) -> ImageView:
        """``created`` is what ogCore knows of it: that goes before the repository's notes."""
        own: dict[str, Any] = {"filesystem": self._noted(2), "data_size": self._noted_size()}
        if created:
            own = {"filesystem": created.filesystem, "data_size": created.used, "digest": created.digest}
            own |= {"description": created.description, "system": created.system}
            own |= {"created_from": created.client, "created": created.when}
        before = self.previous
        return ImageView(
            id=self.id,
            name=self.name,
            state=self.state,
            offered=self.offered,
            reason=self.reason,
            size=self.size,
            container=self.container,
            format=self.format,
            origin=self._noted(4),
            modified=_text(self.modified),
            previous=PreviousView(size=before.size, modified=_text(before.modified)) if before else None,
            locked=self.locked,
            put_back=can_put_back and before is not None and not self.locked,
            **own,
        )

    def _noted_size(self) -> int | None:
        kib = self._noted(3)
        return int(kib) * _KIB if kib.isdecimal() else None

    def _noted(self, place: int) -> str:
        """From the repository's notes, CLONATOR:COMPRESSOR:FSTYPE:DATASIZE_KB:CLIENT."""
        notes = self.info.split(":")
        return notes[place] if place < len(notes) else ""


class RepositoryUnreachable(Exception):
    pass


class RepositoryRefused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Images:
    """``token`` is what the repository wants of whoever changes an image; without one, ogCore only looks."""

    def __init__(self, session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None, token: str = "") -> None:
        """``tls`` may be None for a repository without TLS."""
        self._session = session
        self._url = f"{url.rstrip('/')}/ogrepository/images"
        self._tls = tls
        self._token = token
        self.can_put_back = bool(token)
        self.host = host_of(url)

    async def all(self) -> list[Image]:
        """Raises RepositoryUnreachable."""
        try:
            async with self._session.get(self._url, ssl=self._tls or True, timeout=_TIMEOUT) as response:
                response.raise_for_status()
                body = await _read(response)
            return msgspec.json.decode(body, type=dict[str, list[Image]])["images"]
        except (aiohttp.ClientError, OSError, KeyError, *GARBLED) as error:
            raise self._unreachable(error) from None

    async def named(self, name: str) -> Image | None:
        return next((image for image in await self.all() if image.name == name), None)

    async def put_back(self, name: str) -> Image:
        """The image and its previous version change places. Raises RepositoryUnreachable or RepositoryRefused."""
        url, headers = f"{self._url}/{quote(name)}.img/put-back", {"Authorization": f"Bearer {self._token}"}
        try:
            call = self._session.post(
                url, headers=headers, ssl=self._tls or True, timeout=_TIMEOUT, allow_redirects=False
            )
            async with call as response:
                body = await _read(response)
            if response.status != _OK:
                raise RepositoryRefused(response.status)
            return msgspec.json.decode(body, type=Image)
        except (aiohttp.ClientError, OSError, *GARBLED) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> RepositoryUnreachable:
        # Not as repr() has it: there, some of them show the headers of the request.
        return RepositoryUnreachable(f"the repository {self.host} does not answer: {reason(error)}")


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def image_id(name: str) -> str:
    """ogCore's own number for the image, the same each time."""
    return _IDS.get(name) or str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _text(time: datetime | None) -> str:
    return time.isoformat() if time else ""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < _LONGEST_LIST and (piece := await response.content.read(_LONGEST_LIST)):
        body += piece
    return bytes(body)
