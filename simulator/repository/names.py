"""The names under which the repository keeps files, and where each lies.

An image is ``NAME.img`` or ``FOLDER/NAME.img``. Beside it lie its sidecars, ``NAME.img.lock`` while somebody works on
it, and the version before it, ``NAME.img.ant``, with sidecars of its own. Whoever captures an image writes it under the
name ``.NAME.img.JOB.part`` first, again with sidecars, and copies what becomes the version before by way of
``.NAME.img.JOB.part.ant``.
"""

from __future__ import annotations

import errno
import re
import secrets
from pathlib import Path
from typing import Final

from msgspec import Struct

PREFIX: Final = "/ogrepository/images"
IMAGE_SUFFIX: Final = ".img"
PREVIOUS_SUFFIX: Final = ".ant"
LOCK_SUFFIX: Final = ".lock"
SIDECARS: Final = (".full.sum", ".index", ".index.sig", ".info", ".sum", ".torrent")

_TEMPORARY: Final = ".davfs.tmp"  # as Apache's mod_dav_fs names what is not whole yet
_PIECE: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_FOLDER: Final = re.compile(_PIECE)
_JOB: Final = r"[A-Za-z]{1,40}-[0-9a-f]{8}"
_DATA: Final = rf"({_PIECE}/)?({_PIECE}\.img(\.ant)?|\.{_PIECE}\.img\.{_JOB}\.part(\.ant)?)"
_SUFFIX: Final = "|".join(re.escape(suffix) for suffix in SIDECARS)
_IMAGE_DATA: Final = re.compile(_DATA)
_KEPT: Final = re.compile(rf"{_DATA}({_SUFFIX})?|({_PIECE}/)?{_PIECE}\.img\.lock")
_READ: Final = re.compile(rf"{_PIECE}(/{_PIECE})?")


class Spot(Struct, frozen=True):
    """Where a file is, or would be. ``sidecar``: it is not an image, but what lies beside one, a lock as well."""

    path: Path
    sidecar: bool


def beside(image: Path, suffix: str) -> Path:
    return image.with_name(image.name + suffix)


def temporary_beside(path: Path) -> Path:
    """A name that nothing has, and that nobody asks for."""
    return path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")


def is_sidecar(name: str) -> bool:
    return not _IMAGE_DATA.fullmatch(name)


def file_named(directory: Path, name: str) -> Path | None:
    """What may be read under ``name``; None when there is none inside ``directory``, an absolute path without links."""
    if not _KEPT.fullmatch(name) and not (_READ.fullmatch(name) and IMAGE_SUFFIX in name):
        return None
    path = (directory / name).resolve()
    return path if path.is_relative_to(directory) and path.is_file() else None


def folder_named(directory: Path, name: str) -> Path | None:
    """``directory`` itself, when ``name`` is empty, or the folder in it; None when it is not there."""
    if name and not _FOLDER.fullmatch(name):
        return None
    path = (directory / name).resolve()
    return path if path.is_relative_to(directory) and path.is_dir() else None


def spot_named(directory: Path, name: str) -> Spot:
    """Where one may write. Raises PermissionError for a name that no file here has, or that leads out."""
    path = directory / name
    if not _KEPT.fullmatch(name) or not path.resolve().is_relative_to(directory):
        raise PermissionError(errno.EACCES, "no image and nothing that lies beside one has this name")
    return Spot(path.parent.resolve() / path.name, is_sidecar(name))
