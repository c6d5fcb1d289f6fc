"""``ogagent image index``: an image in frames, its index, and the signature."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import msgspec

from ogagent.errors import ImageCorrupt
from ogagent.image import index as image_index
from ogagent.image.index import LARGEST_INDEX, ImageIndex
from ogagent.image.indexed import prove
from ogagent.image.pack import Packing, pack
from ogagent.imagefile.exchange import (
    IndexFiles,
    Original,
    Sums,
    opened_alone,
    read_sidecar,
    replace,
    replace_index,
    successor,
)
from ogagent.imagefile.full_sum import FullSum
from ogagent.imagefile.progress import Meter, Report
from ogagent.model.units import MIB

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LEVEL: Final = 3


class Wanted(NamedTuple):
    """What the image shall become. None: as it is when it is in frames already, else the default."""

    region_size: int | None
    level: int | None
    threads: int
    max_window: int
    key: Ed25519PrivateKey | None


def make_index(path: Path, wanted: Wanted, report: Report) -> tuple[ImageIndex, int]:
    """Answers the index, and how many bytes the image had before.

    Raises AgentError, OSError; the image is then as it was. The container is rewritten unless there is a true
    index of it already, which is then signed, or given the new name of the image.
    """
    with opened_alone(path.resolve()) as original:
        index = _true_index(original, wanted, report)
        if index is None:
            index = _rewrite(original, wanted, report)
        elif wanted.key is not None or index.image != original.path.name:
            index = msgspec.structs.replace(index, image=original.path.name)
            replace_index(original, _files(index, wanted.key))
        return index, original.status.st_size


def _true_index(original: Original, wanted: Wanted, report: Report) -> ImageIndex | None:
    """The index that lies beside the image, if it tells the truth and suits what is wanted."""
    if wanted.level is not None:
        return None
    with suppress(ImageCorrupt):
        data = read_sidecar(original.path, image_index.SUFFIX, LARGEST_INDEX)
        index = None if data is None else image_index.decode(data)
        if index is not None and wanted.region_size in (None, index.region_size):
            _prove(original.file, index, wanted.threads, report)
            return index
    original.file.seek(0)
    return None


def _rewrite(original: Original, wanted: Wanted, report: Report) -> ImageIndex:
    packing = Packing(wanted.region_size, wanted.level or LEVEL, wanted.threads, wanted.max_window)
    full_sum, meter = FullSum(original.path), Meter(report, "packing", original.status.st_size)
    with successor(original) as out:
        packed = pack(original.path.name, full_sum.chunks(original.file, meter), out.write, packing)
        full_sum.check()
        _to_the_medium(out)
        files = _files(packed.index, wanted.key)
        proven, sums = _prove(out, image_index.decode(files.index), wanted.threads, report)
        if proven != packed.content:
            raise ImageCorrupt("the rewritten image does not hold what the original held", hint="check memory and disk")
        replace(original, sums, files)
    return packed.index


def _prove(file: BinaryIO, index: ImageIndex, threads: int, report: Report) -> tuple[bytes, Sums]:
    """What ``indexed.prove`` answers, and the sums of the file, from one reading."""
    meter, whole, tail = Meter(report, "proving", index.size), hashlib.md5(usedforsecurity=False), bytearray()

    def seen(data: bytes) -> None:
        meter.add(data)
        whole.update(data)
        tail.extend(data)
        del tail[:-MIB]

    file.seek(0)
    content = prove(file, index, threads, seen)
    return content, Sums(whole.hexdigest(), hashlib.md5(tail, usedforsecurity=False).hexdigest())


def _to_the_medium(file: BinaryIO) -> None:
    """What is read from it now comes from there, and not from the page cache."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _files(index: ImageIndex, key: Ed25519PrivateKey | None) -> IndexFiles:
    encoded = image_index.encode(index)
    return IndexFiles(encoded, None if key is None else key.sign(encoded))
