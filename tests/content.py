"""What a file system of a test holds: always the same, and as much, however much the project grows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

_FILES: Final = 64
_SMALLEST: Final = 1 << 10
_LARGEST: Final = 80 << 10


def filled(folder: Path) -> Path:
    """``folder``, with about 2.5 MiB in files that no compression makes smaller."""
    folder.mkdir(exist_ok=True)
    chance = random.Random(64)
    for number in range(_FILES):
        (folder / f"file{number}").write_bytes(chance.randbytes(chance.randint(_SMALLEST, _LARGEST)))
    return folder
