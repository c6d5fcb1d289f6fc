"""``X.img.full.sum``: the MD5 of the image file, for whoever reads all of that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ogagent.errors import ImageCorrupt
from ogagent.image.sums import md5_in
from ogagent.imagefile.exchange import read_sidecar
from ogagent.imagefile.progress import Meter
from ogagent.model.units import MIB

_CHUNK: Final = 2 * MIB
_LARGEST: Final = 64 << 10  # bytes: the sums of some hundred images in one file


class FullSum:
    """Compared with the bytes of the image file ``path``, where it tells its MD5. Raises ImageCorrupt, OSError."""

    def __init__(self, path: Path) -> None:
        self._expected = md5_in(read_sidecar(path, ".full.sum", _LARGEST) or b"", path.name)
        self._md5 = hashlib.md5(usedforsecurity=False)

    def chunks(self, file: BinaryIO, meter: Meter) -> Iterator[bytes]:
        """All of the image file."""
        while chunk := file.read(_CHUNK):
            if self._expected is not None:
                self._md5.update(chunk)
            meter.add(chunk)
            yield chunk

    def check(self) -> None:
        """All has been read. Raises ImageCorrupt."""
        if self._expected not in (None, self._md5.hexdigest()):
            raise ImageCorrupt(
                f"the image file has the MD5 {self._md5.hexdigest()}, its .full.sum says {self._expected}",
                hint="the image is damaged or its sum is old: find out which, and remove the sum when that is it",
            )
