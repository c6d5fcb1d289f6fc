"""What an image is, told from its content and never from its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image.codec import MAX_WINDOW, open_container
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.image.partclone import PartcloneImage
from ogagent.image.partclone_header import MAGIC
from ogagent.image.piece import Image
from ogagent.image.raw import RawImage
from ogagent.image.stream import ByteStream, Chunks

_STRANGERS: Final = (
    (0, b"<!doctype html", "an HTML page"),
    (0, b"<html", "an HTML page"),
    (0, b"<?xml", "an XML document"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a rar archive"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file"),
    (0, b"QFI\xfb", "a qcow2 disk"),
    (0, b"KDMV", "a VMDK disk"),
    (0, b"vhdxfile", "a VHDX disk"),
    (0, b"conectix", "a VHD disk"),
    (0, b"<<< Oracle VM VirtualBox Disk Image", "a VDI disk"),
    (0, b"MSWIM\0\0\0", "a WIM image"),
    (0, b"hsqs", "a squashfs"),
    (0, b"PaRtImAgE-VoLuMe", "a partimage image"),
    (0, b"\0ntfsclone-image", "an ntfsclone image"),
    (257, b"ustar", "a tar archive"),
    (512, b"EFI PART", "a whole disk with its partition table"),
    (32769, b"CD001", "a CD"),
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
    inside = "" if container == "none" else f" inside {container}"
    raise UnknownImage(
        f"this is not an image: {_describe(head)}{inside}",
        hint="an image is what partclone writes, or a raw partition, compressed with zstd, gzip, lzop or not at all",
    )


def _describe(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")  # a page may begin with a byte order mark and empty lines
    for offset, magic, name in _STRANGERS:
        if any(content[offset : offset + len(magic)].lower() == magic.lower() for content in (head, text)):
            return f"it looks like {name}, and begins with {_shown(head)}"
    return f"it begins with {_shown(head)}"


def _shown(head: bytes) -> str:
    start = head[:_SHOWN]
    text = start.translate(None, b"\t\r\n").decode("ascii", "replace")
    return repr(start.decode()) if text.isascii() and text.isprintable() and text else start.hex(" ") or "nothing"
