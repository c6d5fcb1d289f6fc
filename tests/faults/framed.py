"""The images of ``images.py`` in frames, with what lies beside them."""

from __future__ import annotations

import io
import random
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import ImageIndex, encode
from ogagent.image.pack import Packing, pack
from tests.faults.bench import Cell
from tests.faults.images import BEFORE, BLOCK, CONTENT, MIB, SIZE, TOTAL, USED, plain, wiped

REGION: Final = 64 << 10
KEY: Final = Ed25519PrivateKey.generate()
INDEX: Final = ".index"
SIGNATURE: Final = ".index.sig"


class Framed(Struct, frozen=True):
    data: bytes
    index: ImageIndex

    @property
    def sidecars(self) -> dict[str, bytes]:
        return {INDEX: encode(self.index)}

    @property
    def signed(self) -> dict[str, bytes]:
        return {INDEX: encode(self.index), SIGNATURE: KEY.sign(encode(self.index))}

    def frame(self, byte: int) -> range:
        """Where in the file the region lies that holds this byte of the partition."""
        offset, length = self.index.frame(self.index.numbers.index(byte // self.index.region_size))
        return range(offset, offset + length)


@cache
def framed(kind: str, name: str = "x.img", region_size: int = REGION) -> Framed:
    out = io.BytesIO()
    packed = pack(name, iter([plain(kind)]), out.write, Packing(region_size, 1, 1, MAX_WINDOW))
    return Framed(out.getvalue(), packed.index)


def over(before: bytes, kind: str) -> bytes:
    """What the partition must hold after a restore."""
    if kind == "raw":
        return CONTENT
    content = wiped(before)
    for number in USED:
        content[number * BLOCK : (number + 1) * BLOCK] = CONTENT[number * BLOCK : (number + 1) * BLOCK]
    return bytes(content)


def _used_once() -> bytes:
    """The image, and then some writes, as a system that was started once leaves them."""
    content = bytearray(over(BEFORE, "crc32"))
    draw = random.Random(9)
    for _ in range(6):
        at = draw.randrange(TOTAL) * BLOCK
        content[at : at + BLOCK] = draw.randbytes(BLOCK)
    return bytes(content)


_FOREIGN: Final = BEFORE[: 3 * MIB] + random.Random(10).randbytes(MIB) + BEFORE[4 * MIB :]

BEFORES: Final[dict[str, bytes]] = {
    "foreign": _FOREIGN,
    "zeros in common": BEFORE,
    "the same": over(BEFORE, "crc32"),
    "half of it": over(BEFORE, "crc32")[: SIZE // 2] + BEFORE[SIZE // 2 :],
    "used once": _used_once(),
    "another content": CONTENT[: 16 * BLOCK] + BEFORE[16 * BLOCK :],
    "empty": bytes(SIZE),
}


def framed_cell(kind: str, before: str, region_size: int = REGION) -> Cell:
    image = framed(kind, region_size=region_size)
    return Cell(
        data=image.data,
        sidecars=image.sidecars,
        before=BEFORES[before],
        restored=over(BEFORES[before], kind),
        local=True,
    )
