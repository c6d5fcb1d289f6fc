"""The index beside an image: whether there is one, whether it is this image's, and who vouches for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from ogagent.errors import ImageCorrupt, SignatureRefused
from ogagent.image import index as image_index
from ogagent.image import signature
from ogagent.image.index import ImageIndex
from ogagent.image.indexed import IndexedImage, open_indexed
from ogagent.image.seekable import SEEKABLE_END
from ogagent.image.stream import goes_on
from ogagent.image.zstd_frame import ZSTD_MAGIC, is_zstd
from ogagent.model.plan import Target
from ogagent.model.units import format_bytes
from ogagent.restore.caching import Cache
from ogagent.restore.plan import check_size
from ogagent.restore.progress import Progress
from ogagent.source.source import Source
from ogagent.system.patience import in_thread

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_log: Final = logging.getLogger(__name__)


async def indexed_image(
    source: Source,
    name: str,
    target: Target,
    keys: Sequence[Ed25519PublicKey],
    cache: Cache,
    progress: Progress,
) -> tuple[IndexedImage, Source] | None:
    """The image by its index, when there is one that belongs to the file ``name``, and where its parts come from.

    None: it is to be streamed. With ``keys`` that is never the answer: then SignatureRefused is raised, for what is not
    signed by one of them. Raises ImageTooLarge for an image that the target has no room for. Until that is known, and
    afterwards, memory and time are bounded by the target's size.
    """
    largest = image_index.largest_index(target.size)
    data = await source.sidecar(image_index.SUFFIX, largest + 1)  # one that is too long shall be seen to be
    if keys:
        await _check_signature(source, data, keys)
    if data is None:
        _log.info("the image has no index: it is restored as a stream")
        return None
    index = None
    try:
        index = await in_thread(_index_of, name, data, largest)
        parts = await cache.by_index(index, data, source)
        return await _opened(index, parts, target, progress), parts
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


def _index_of(name: str, data: bytes, largest: int) -> ImageIndex:
    if len(data) > largest:
        raise ImageCorrupt(f"the image's index is longer than the {format_bytes(largest)} that suit the partition")
    index = image_index.decode(data, largest)
    if index.image != name:
        raise ImageCorrupt(f"the index beside {name} is that of {index.image}")
    return index


async def _opened(index: ImageIndex, source: Source, target: Target, progress: Progress) -> IndexedImage:
    """The prefix is what tells how long the file is: then it shows whether the index speaks of this file, and whether
    what it speaks of suits the partition; only then more is made of either.
    """
    prefix = await _prefix(source, index, target)
    if source.size not in (None, index.size):
        raise ImageCorrupt(f"the image has {source.size} bytes, its index is of one with {index.size}")
    check_size(index.device_size, target)
    progress.image = index.size
    try:
        return await in_thread(open_indexed, index, prefix)
    except ImageCorrupt:
        if not source.doubt(index.prefix.offset, index.prefix.offset + len(prefix)):
            raise
    return await in_thread(open_indexed, index, await _prefix(source, index, target))


async def _prefix(source: Source, index: ImageIndex, target: Target) -> bytes:
    """A byte is asked for where there is none: then the source says how long the file is."""
    start, length = index.prefix.offset, index.prefix.length
    if length > image_index.longest_prefix(index, target.size):
        raise ImageCorrupt(f"the index says that the image's header has {length} bytes")
    return (await _part(source, start, start + max(length, 1)))[:length]


async def _part(source: Source, start: int, stop: int) -> bytes:
    part = bytearray()
    async with aclosing(source.part(start, stop)) as chunks:
        async for chunk in chunks:
            part += chunk
    return bytes(part)
