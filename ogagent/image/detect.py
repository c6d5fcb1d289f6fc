"""What an image is, told from its content and never from its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ogagent.errors import UnknownImage
from ogagent.image.codec import open_container
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.image.partclone import PartcloneImage
from ogagent.image.partclone_header import MAGIC
from ogagent.image.piece import Image
from ogagent.image.raw import RawImage
from ogagent.image.stream import ByteStream, Chunks

_STRANGERS: Final = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"QFI\xfb", "a qcow2 disk"),
    (b"hsqs", "a squashfs"),
)


def open_image(chunks: Iterator[bytes]) -> Image:
    """Reads as far as the header. Raises UnknownImage, or ImageCorrupt for one that is damaged."""
    source = Chunks(chunks)
    if not source.peek(1):
        raise UnknownImage("the image is an empty file")
    decoder = open_container(source)
    stream = ByteStream(decoder)
    head = stream.peek(PROBE_SIZE)
    if head.startswith(MAGIC):
        return PartcloneImage(stream, decoder.container)
    superblock = recognize(head)
    if superblock is not None:
        return RawImage(stream, decoder.container, superblock)
    raise UnknownImage(
        f"this is not an image: {_describe(head)}",
        hint="an image is what partclone writes, or a raw partition, compressed with zstd, gzip, lzop or not at all",
    )


def _describe(head: bytes) -> str:
    for magic, name in _STRANGERS:
        if head[: len(magic)].lower() == magic.lower():
            return f"it looks like {name}"
    if head[257:262] == b"ustar":
        return "it looks like a tar archive"
    return f"its content begins with {head[:16].hex(' ') or 'nothing'}"
