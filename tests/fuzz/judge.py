"""What may come of any bytes at all: an ImageError, or what they say is to be written; never anything else."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from ogagent.errors import ImageError
from ogagent.image.detect import open_image

CORPUS: Final = Path(__file__).parent / "corpus"
DEVICE: Final = 16 << 20
"""The partition that all this would be written to: what is larger is refused before the bitmap is read, or when a raw
image comes to its end."""

Written = list[tuple[int, bytes]]


def judge(data: bytes, chunk: int = 1 << 16) -> Written | None:
    """Offsets and bytes in the order of writing, or None for an image that was refused."""
    return judge_chunks(data[at : at + chunk] for at in range(0, len(data), chunk))


def judge_chunks(chunks: Iterator[bytes]) -> Written | None:
    try:
        return _written(chunks)
    except ImageError as error:
        _check_refusal(error)
        return None


def _check_refusal(error: ImageError) -> None:
    assert error.number == 33, error
    assert len(error.message) < 1000


def sealed(data: bytes) -> bytes:
    """With the checksums of header and bitmap made right, without which nearly no change would get past them."""
    if data[30:34] != b"0002" or len(data) < 110:
        return data
    out = bytearray(data)
    out[106:110] = _crc(out[:106])
    end = 110 + -(-int.from_bytes(data[60:68], "little") // 8)
    if end + 4 <= len(out):
        out[end : end + 4] = _crc(out[110:end])
    return bytes(out)


def _crc(data: bytes | bytearray) -> bytes:
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def _written(chunks: Iterator[bytes]) -> Written | None:
    image = open_image(chunks)
    assert msgspec.json.encode(image.header)
    assert re.fullmatch(r"[ -Z^-~]*", image.header.filesystem), "what a terminal or rich might take for an order"
    if image.header.device_size > DEVICE:
        return None
    total = image.prepare()
    assert image.buffer_size <= max(DEVICE, 8 << 20)
    prove = image.prover()
    buffer = memoryview(bytearray(image.buffer_size))
    written: Written = []
    for piece in image.pieces(lambda: buffer):
        prove(piece)
        assert sum(extent.length for extent in piece.extents) == piece.length <= len(buffer)
        written += [(offset, bytes(buffer[start : start + length])) for offset, start, length in piece.extents]
        if written[-1][0] + len(written[-1][1]) > DEVICE:
            assert image.header.format == "raw"
            return None
    assert image.header.format == "raw" or all(at + len(part) <= image.header.device_size for at, part in written)
    assert total is None or total == sum(len(part) for _, part in written)
    assert all(one[0] + len(one[1]) <= other[0] for one, other in pairwise(written))
    return written
