"""A small Ubuntu on ext4, and ``image-test``, the reference image that is made of it in partclone's format.
Deterministic.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.ext4 import fill, make_filesystem, used_blocks
from simulator.partclone_writer import partclone_image
from simulator.tree import MIB, Tree, linux_tree

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IMAGE_NAME: Final = "image-test"
FILESYSTEM_SIZE: Final = 96 * MIB
CLIENT: Final = "modelo"
_UUID: Final = "01936caf-facb-72ad-9446-97e7dbf2b96a"
_SUM_LENGTH: Final = MIB
_LEVEL: Final = 3


class Sample(Struct, frozen=True, kw_only=True):
    """``filesystem_size`` in bytes. ``tree`` is what the file system was asked to hold."""

    image: Path
    filesystem_size: int
    tree: Tree


def make_sample(directory: Path, name: str = IMAGE_NAME) -> Sample:
    """Writes ``name.img`` and its sidecars into ``directory``. Raises ToolMissing or ToolFailed."""
    image = directory / f"{name}.img"
    with tempfile.TemporaryDirectory(prefix="ogsim-") as scratch:
        filesystem = Path(scratch, "filesystem")
        tree = install_system(filesystem)
        capture(filesystem, image)
    return Sample(image=image, filesystem_size=FILESYSTEM_SIZE, tree=tree)


def install_system(disk: Path, *, offset: int = 0) -> Tree:
    """The small Ubuntu, at ``offset`` of ``disk``, and what it is made of. Raises ToolMissing or ToolFailed."""
    tree = linux_tree(_UUID)
    make_filesystem(disk, FILESYSTEM_SIZE, uuid=_UUID, label="", offset=offset)
    fill(disk, tree, offset=offset)
    return tree


def capture(filesystem: Path, image: Path) -> None:
    """The ext4 in ``filesystem`` as ``image``, a partclone image compressed with zstd, and its sidecars."""
    blocks = used_blocks(filesystem)
    data_size = 0
    with filesystem.open("rb") as source, zstd.open(image, "wb", level=_LEVEL) as file:
        for piece in partclone_image(source, blocks, "EXTFS"):
            data_size += len(piece)
            file.write(piece)
    compressed = image.read_bytes()
    _sidecar(image, "full.sum", hashlib.md5(compressed, usedforsecurity=False).hexdigest())
    _sidecar(image, "sum", hashlib.md5(compressed[-_SUM_LENGTH:], usedforsecurity=False).hexdigest())
    _sidecar(image, "info", f"partclone:zstd:EXTFS:{-(-data_size // 1024)}:{CLIENT}")


def _sidecar(image: Path, suffix: str, text: str) -> None:
    image.with_name(f"{image.name}.{suffix}").write_text(text + "\n", encoding="utf-8")
