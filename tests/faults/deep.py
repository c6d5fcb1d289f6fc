"""Directories one in the other, more of them than Python can call functions, or than a path can name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def deep(path: Path, depth: int = 1100) -> Iterator[None]:
    """With a file in each. What is left of them goes at the end: pytest could not remove it."""
    path.mkdir(parents=True)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("a", dir_fd=folder)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
        inner = os.open("a", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", path], check=True)
