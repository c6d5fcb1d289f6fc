"""An image that does not compress, so that its size is that of what it holds; and the next version of it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.content import put_in_frames
from simulator.ext4 import make_filesystem
from simulator.tree import MIB

OLD: Final = "crowd"
NEW: Final = "crowd-next"
_UUID: Final = "01936caf-facb-72ad-9446-97e7dbf2b96b"
_CHANGED: Final = 100
"""One MiB of so many."""
_FIRST_CHANGED: Final = 7


class Images(Struct, frozen=True):
    """``plain`` is what a partition holds then, of ``size`` bytes; ``image`` is the size of the image file."""

    directory: Path
    plain: Path
    next: Path
    size: int

    @property
    def image(self) -> int:
        return self.directory.joinpath(f"{OLD}.img").stat().st_size

    def content(self, name: str) -> Path:
        return self.plain if name == OLD else self.next


def make_images(scratch: Path, size: int) -> Images:
    """``size`` in whole MiB. An ext4 to whoever asks what it is; all but its beginning is noise."""
    images = Images(scratch / "images", scratch / "plain", scratch / "next", size)
    images.directory.mkdir()
    noise = random.Random(size)
    make_filesystem(images.plain, size, uuid=_UUID, label="")
    with images.plain.open("r+b") as old, images.next.open("wb") as new:
        new.write(old.read(MIB))
        for number in range(1, size // MIB):
            piece = noise.randbytes(MIB)
            old.write(piece)
            new.write(noise.randbytes(MIB) if number % _CHANGED == _FIRST_CHANGED else piece)
    for name in (OLD, NEW):
        image = images.directory / f"{name}.img"
        shutil.copyfile(images.content(name), image)
        put_in_frames(image, "--level", "1")
    return images
