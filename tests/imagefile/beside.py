"""An image file and what lies beside it: made, checked, spoilt."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import ImageIndex
from ogagent.imagefile.check import Verified, verify
from ogagent.imagefile.make import Wanted, make_index

MIB: Final = 1 << 20
KIB: Final = 1 << 10
NOISE: Final = random.Random(11)
KEY: Final = Ed25519PrivateKey.generate()


def make(
    path: Path, key: Ed25519PrivateKey | None = None, region_size: int | None = None, level: int | None = None
) -> ImageIndex:
    return make_index(path, Wanted(region_size, level, 2, MAX_WINDOW, key), lambda _what, _done, _total: None)[0]


def verified(path: Path, key: Ed25519PrivateKey | None = None) -> Verified:
    return verify(path, key.public_key() if key else None, 2, MAX_WINDOW, lambda _what, _done, _total: None)


def check(path: Path, key: Ed25519PrivateKey | None = None) -> str:
    found = verified(path, key)
    return f"{'index' if found.index else 'no index'}, {found.signature}"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def lock(image: Path) -> None:
    image.with_name("x.img.lock").touch()


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
