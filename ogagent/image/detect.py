"""What an image is, told from its content and never from its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image.codec import MAX_WINDOW, container_of, open_container
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.image.partclone import PartcloneImage
from ogagent.image.partclone_header import MAGIC
from ogagent.image.piece import Image
from ogagent.image.raw import RawImage
from ogagent.image.strangers import Stranger, stranger_in
from ogagent.image.stream import ByteStream, Chunks

_AN_IMAGE: Final = (
    "an image is what partclone writes, or a raw partition, compressed with zstd, gzip, lzop or not at all"
)
_SHOWN: Final = 24  # bytes
_LARGEST: Final = (1 << 63) - 1  # what an offset of Linux can say


def open_image(chunks: Iterator[bytes], max_window: int = MAX_WINDOW) -> Image:
    """Reads as far as the header. Raises UnknownImage, or ImageCorrupt for one that is damaged.

    ``max_window`` is how much memory, in bytes, a zstd image may ask for to be decoded.
    """
    source = Chunks(chunks)
    if not source.peek(1):
        raise UnknownImage("the image is an empty file")
    decoder = open_container(source, max_window)
    return image_in(ByteStream(decoder), decoder.container)


def image_in(stream: ByteStream, container: str) -> Image:
    """Of the bytes that were in the container."""
    head = stream.peek(PROBE_SIZE)
    if head.startswith(MAGIC):
        return PartcloneImage(stream, container)
    superblock = recognize(head)
    if superblock is not None:
        if superblock.size > _LARGEST:
            raise ImageCorrupt(f"the {superblock.filesystem} superblock of the image claims {superblock.size} bytes")
        return RawImage(stream, container, superblock)
    raise _unknown(head, container)


def _unknown(head: bytes, container: str) -> UnknownImage:
    stranger = _packed_twice(head, container) or stranger_in(head) or Stranger("", _AN_IMAGE)
    likeness = f"it looks like {stranger.name}, and" if stranger.name else "it"
    inside = "" if container == "none" else f" inside {container}"
    return UnknownImage(f"this is not an image: {likeness} begins with {_shown(head)}{inside}", hint=stranger.hint)


def _packed_twice(head: bytes, container: str) -> Stranger | None:
    inner = container_of(head)
    if inner == "none":
        return None
    return Stranger(
        f"a {inner} file",
        f"it is packed twice: unpack it once with {container} -dc; when the repository's file is not, its web server "
        "compresses what it sends: switch that off for images",
    )


def _shown(head: bytes) -> str:
    start = head[:_SHOWN]
    text = start.translate(None, b"\t\r\n").decode("ascii", "replace")
    return repr(start.decode()) if text.isascii() and text.isprintable() and text else start.hex(" ") or "nothing"
