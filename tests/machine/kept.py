"""What takes minutes to make, and is made once for each recipe: in the cache directory of whoever runs the tests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

_POLL_S: Final = 0.5
_UNUSED_S: Final = 2 * 24 * 3600.0


class Recipe(Struct, frozen=True):
    """All that decides what is made: two with the same words make the same."""

    name: str
    words: tuple[str, ...]

    @property
    def place(self) -> Path:
        digest = hashlib.sha256("\0".join(self.words).encode()).hexdigest()
        return _shelf() / f"{self.name}-{digest[:16]}"


def kept(recipe: Recipe, make: Callable[[Path], None]) -> Path:
    """The directory that ``make`` has filled, now or in an earlier run. What nobody has asked for in days goes."""
    if not recipe.place.exists():
        for left in _shelf().glob(f".{recipe.name}-*"):
            shutil.rmtree(left)
        making = Path(tempfile.mkdtemp(prefix=f".{recipe.name}-", dir=_shelf()))
        make(making)
        making.rename(recipe.place)
        _clear(recipe)
    os.utime(recipe.place)
    return recipe.place


def _clear(recipe: Recipe) -> None:
    """Another run on this machine may be working with what an older recipe has made."""
    for old in _shelf().glob(f"{recipe.name}-*"):
        if old != recipe.place and time.time() - old.stat().st_mtime > _UNUSED_S:
            shutil.rmtree(old)


def is_kept(recipe: Recipe) -> bool:
    return recipe.place.exists()


def words_of(paths: Iterable[Path]) -> Iterator[str]:
    """Names, modes and contents of files, and of all that lies in directories."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{file.relative_to(path.parent)} {file.stat().st_mode & 0o111:o}"
                yield file.read_text(encoding="utf-8")


def _shelf() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ogagent-machines"


def awaited(recipe: Recipe) -> bool:
    """Whether it is there, once nobody makes anything any more, or before."""
    while not is_kept(recipe):
        with _lock() as fd, suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return is_kept(recipe)
        time.sleep(_POLL_S)
    return True


@contextmanager
def nobody_else() -> Iterator[None]:
    """Waits for whoever is making something, in another run perhaps."""
    with _lock() as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield


@contextmanager
def _lock() -> Iterator[int]:
    _shelf().mkdir(parents=True, exist_ok=True)
    fd = os.open(_shelf() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
