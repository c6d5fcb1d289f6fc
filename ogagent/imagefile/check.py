"""``ogagent image info`` and ``verify``: what an image says of itself, and whether it is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from ogagent.errors import ImageCorrupt, SignatureRefused
from ogagent.image import index as image_index
from ogagent.image import signature
from ogagent.image.detect import open_image
from ogagent.image.index import LARGEST_INDEX, ImageIndex
from ogagent.image.indexed import prove
from ogagent.imagefile.exchange import beside, read_sidecar
from ogagent.imagefile.full_sum import FullSum
from ogagent.imagefile.progress import Meter, Report
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB, format_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SignatureState = Literal["none", "good", "unchecked"]

_CHUNK: Final = 2 * MIB


class Verified(Struct, frozen=True):
    """``index`` None: there is none. ``signature`` ``unchecked``: there is one, but no key was named. ``warnings``: of
    what no restore goes by, each with its number.
    """

    header: ImageHeader
    index: ImageIndex | None
    signature: SignatureState
    warnings: tuple[str, ...] = ()


def read_header(path: Path, max_window: int) -> ImageHeader:
    """Raises AgentError, OSError."""
    with path.open("rb") as file:
        return open_image(iter(lambda: file.read(_CHUNK), b""), max_window).header


def verify(path: Path, key: Ed25519PublicKey | None, threads: int, max_window: int, report: Report) -> Verified:
    """Reads all and proves all: the image as a stream and by its sum, its index region by region, and who signed it.

    With a ``key`` an image that is not signed by it is refused. Raises AgentError, OSError; nothing is written.
    """
    data = read_sidecar(path, image_index.SUFFIX, LARGEST_INDEX)
    signed = _check_signature(path, data, key)
    full_sum = FullSum(path)
    header = _read_through(path, max_window, report, full_sum)
    if data is None:
        full_sum.check()
        return Verified(header, None, signed)
    index = load(path, data)
    with path.open("rb") as file:
        prove(file, index, threads, Meter(report, "the index", index.size).add)
    try:
        full_sum.check()
    except ImageCorrupt as error:
        return Verified(header, index, signed, (error.der,))
    return Verified(header, index, signed)


def load(path: Path, data: bytes) -> ImageIndex:
    """The index that belongs to the image ``path``. Raises ImageCorrupt, also for one that was made for another."""
    index = image_index.decode(data)
    if index.image != path.name:
        raise ImageCorrupt(
            f"the index beside {path} is that of {index.image}", hint=f"make it again: ogagent image index {path}"
        )
    return index


def describe(header: ImageHeader) -> str:
    used = "" if header.used_bytes is None else f", {format_bytes(header.used_bytes)} of it used"
    return (
        f"{header.format} in {header.container}, {header.filesystem} of {format_bytes(header.device_size)}{used}, "
        f"checksums: {header.checksum}"
    )


def _check_signature(path: Path, index: bytes | None, key: Ed25519PublicKey | None) -> SignatureState:
    if key is None:
        return "unchecked" if beside(path, signature.SUFFIX).exists() else "none"
    if index is None:
        raise SignatureRefused(f"{path} has no index, and so no signature", hint=signature.HOW_TO_SIGN)
    signature.check_signature(index, read_sidecar(path, signature.SUFFIX, signature.LENGTH), (key,))
    return "good"


def _read_through(path: Path, max_window: int, report: Report, full_sum: FullSum) -> ImageHeader:
    meter = Meter(report, "the image", path.stat().st_size)
    with path.open("rb") as file:
        image = open_image(full_sum.chunks(file, meter), max_window)
        image.prepare()
        prove_piece = image.prover()
        buffer = memoryview(bytearray(image.buffer_size))
        for piece in image.pieces(lambda: buffer):
            prove_piece(piece)
        return image.header
