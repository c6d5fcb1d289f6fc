"""The index beside an image: whether there is one, whether it is this image's, and who vouches for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ogagent.errors import ImageCorrupt, SignatureRefused
from ogagent.image import index as image_index
from ogagent.image import signature
from ogagent.image.index import ImageIndex
from ogagent.image.indexed import LARGEST_PREFIX, IndexedImage, open_indexed
from ogagent.image.seekable import SEEKABLE_END
from ogagent.image.stream import goes_on
from ogagent.image.zstd_frame import ZSTD_MAGIC, is_zstd
from ogagent.restore.caching import Cache
from ogagent.restore.progress import Progress
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)


async def indexed_image(
    source: Source, name: str, keys: Sequence[Ed25519PublicKey], cache: Cache, progress: Progress
) -> tuple[IndexedImage, Source] | None:
    """The image by its index, when there is one that belongs to the file ``name``, and where its parts come from.

    None: it is to be streamed. With ``keys`` that is never the answer: then SignatureRefused is raised, for what is not
    signed by one of them.
    """
    data = await source.sidecar(image_index.SUFFIX, image_index.LARGEST_INDEX)
    if keys:
        await _check_signature(source, data, keys)
    if data is None:
        _log.info("the image has no index: it is restored as a stream")
        return None
    index = None
    try:
        index = await asyncio.to_thread(_index_of, name, data)
        parts = await cache.by_index(index, source)
        return await _opened(index, parts, progress), parts
    except ImageCorrupt as error:
        if keys:
            raise SignatureRefused(
                f"the image is not the one that was signed: {error.message}", hint=signature.HOW_TO_SIGN
            ) from error
        if index is not None:
            await _refuse_appended(index, source)
        _log.warning("%s: the image is restored as a stream", error.message)
        return None


async def _refuse_appended(index: ImageIndex, source: Source) -> None:
    """Raises ImageCorrupt when the image of the index is there to its end, and something follows that is no zstd.

    As a stream it would be found as well, but only when all has been written.
    """
    if source.size is None or source.size <= index.size or not source.takes_ranges:
        return
    around = await _part(source, index.size - len(SEEKABLE_END), index.size + len(ZSTD_MAGIC))
    if around.startswith(SEEKABLE_END) and not is_zstd(around[len(SEEKABLE_END) :]):
        raise goes_on("zstd frame", index.size)


async def _check_signature(source: Source, index: bytes | None, keys: Sequence[Ed25519PublicKey]) -> None:
    if index is None:
        raise SignatureRefused("the image has no index, and so no signature", hint=signature.HOW_TO_SIGN)
    longest = signature.LENGTH + 1  # one that is too long shall be seen to be
    signature.check_signature(index, await source.sidecar(signature.SUFFIX, longest), keys)


def _index_of(name: str, data: bytes) -> ImageIndex:
    index = image_index.decode(data)
    if index.image != name:
        raise ImageCorrupt(f"the index beside {name} is that of {index.image}")
    return index


async def _opened(index: ImageIndex, source: Source, progress: Progress) -> IndexedImage:
    prefix = await _prefix(source, index, progress)
    if source.size not in (None, index.size):
        raise ImageCorrupt(f"the image has {source.size} bytes, its index is of one with {index.size}")
    progress.image = index.size
    try:
        return await asyncio.to_thread(open_indexed, index, prefix)
    except ImageCorrupt:
        if not source.doubt(index.prefix.offset, index.prefix.offset + len(prefix)):
            raise
    return await asyncio.to_thread(open_indexed, index, await _prefix(source, index, progress))


async def _prefix(source: Source, index: ImageIndex, progress: Progress) -> bytes:
    """A byte is asked for where there is none: then the source says how long the file is."""
    start, length = index.prefix.offset, index.prefix.length
    if length > LARGEST_PREFIX:
        raise ImageCorrupt(f"the index says that the image's header has {length} bytes")
    prefix = await _part(source, start, start + max(length, 1))
    progress.received += len(prefix)
    return prefix[:length]


async def _part(source: Source, start: int, stop: int) -> bytes:
    part = bytearray()
    async with aclosing(source.part(start, stop)) as chunks:
        async for chunk in chunks:
            part += chunk
    return bytes(part)
