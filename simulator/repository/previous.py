"""An image and the version before it change places, each with what lies beside it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.repository.names import LOCK_SUFFIX, PREVIOUS_SUFFIX, SIDECARS, beside, temporary_beside


def put_back(image: Path) -> None:
    """There is an image under the name all the time, and it is locked meanwhile: its sidecars follow it one by one.

    Raises FileNotFoundError when there is no previous version, OSError with EBUSY when somebody else has locked it.
    """
    if not beside(image, PREVIOUS_SUFFIX).is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no previous version")
    with _locked(image):
        aside = _second_names(image)
        for suffix in ("", *SIDECARS):
            current, previous = beside(image, suffix), beside(image, PREVIOUS_SUFFIX + suffix)
            if os.path.lexists(previous):
                previous.replace(current)
            else:
                current.unlink(missing_ok=True)
            if suffix in aside:
                aside[suffix].replace(previous)


@contextmanager
def _locked(image: Path) -> Iterator[None]:
    lock = beside(image, LOCK_SUFFIX)
    try:
        lock.open("xb").close()
    except FileExistsError:
        raise OSError(errno.EBUSY, "somebody is working on the image") from None
    try:
        yield
    finally:
        lock.unlink()


def _second_names(image: Path) -> dict[str, Path]:
    """By suffix, for each file of the image. Either all or none have one."""
    names: dict[str, Path] = {}
    try:
        for suffix in ("", *SIDECARS):
            if os.path.lexists(current := beside(image, suffix)):
                name = temporary_beside(image)
                os.link(current, name, follow_symlinks=False)
                names[suffix] = name
    except OSError:
        for name in names.values():
            name.unlink()
        raise
    return names
