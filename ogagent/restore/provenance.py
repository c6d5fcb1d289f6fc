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
from ogagent.restore.progress import Progress
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)


async def indexed_image(
    source: Source, name: str, keys: Sequence[Ed25519PublicKey], progress: Progress
) -> IndexedImage | None:
    """The image by its index, when there is one that belongs to the file ``name``; None: it is to be streamed.

    With ``keys`` that is never the answer: then SignatureRefused is raised, for what is not signed by one of them.
    """
    data = await source.sidecar(image_index.SUFFIX, image_index.LARGEST_INDEX)
    if keys:
        await _check_signature(source, data, keys)
    if data is None:
        _log.info("the image has no index: it is restored as a stream")
        return None
    try:
        return await _opened(source, name, data, progress)
    except ImageCorrupt as error:
        if keys:
            raise SignatureRefused(
                f"the image is not the one that was signed: {error.message}", hint=signature.HOW_TO_SIGN
            ) from error
        _log.warning("%s: the image is restored as a stream", error.message)
        return None


async def _check_signature(source: Source, index: bytes | None, keys: Sequence[Ed25519PublicKey]) -> None:
    if index is None:
        raise SignatureRefused("the image has no index, and so no signature", hint=signature.HOW_TO_SIGN)
    longest = signature.LENGTH + 1  # one that is too long shall be seen to be
    signature.check_signature(index, await source.sidecar(signature.SUFFIX, longest), keys)


async def _opened(source: Source, name: str, data: bytes, progress: Progress) -> IndexedImage:
    index = await asyncio.to_thread(image_index.decode, data)
    if index.image != name:
        raise ImageCorrupt(f"the index beside {name} is that of {index.image}")
    prefix = await _prefix(source, index, progress)
    if source.size not in (None, index.size):
        raise ImageCorrupt(f"the image has {source.size} bytes, its index is of one with {index.size}")
    progress.image = index.size
    return await asyncio.to_thread(open_indexed, index, prefix)


async def _prefix(source: Source, index: ImageIndex, progress: Progress) -> bytes:
    """A byte is asked for where there is none: then the source says how long the file is."""
    start, length = index.prefix.offset, index.prefix.length
    if length > LARGEST_PREFIX:
        raise ImageCorrupt(f"the index says that the image's header has {length} bytes")
    prefix = bytearray()
    async with aclosing(source.part(start, start + max(length, 1))) as chunks:
        async for chunk in chunks:
            prefix += chunk
    progress.received += len(prefix)
    return bytes(prefix[:length])
