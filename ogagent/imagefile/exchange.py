"""Putting an image in the place of its former self, with everything beside it that depends on its bytes.

What lies beside an image ``X.img`` in an OpenGnsys repository, and what becomes of it: ``.full.sum`` and ``.sum`` (MD5
of all, and of the last MiB) are made anew, as OpenGnsys' own ``torrent-creator`` would; ``.torrent`` is removed, and
that program, which knows the tracker, makes it again within a minute; in ``.info`` the compressor becomes zstd. The
file ``.lock`` says meanwhile to all that the image is being worked on.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct

from ogagent.errors import ImageChanged, ImageCorrupt, ImageLocked
from ogagent.image import index, signature

_PARTIAL: Final = ".partial"  # no repository takes a file of this name for an image


class Original(NamedTuple):
    """An image that is about to be remade, as it was found."""

    path: Path
    file: BinaryIO
    status: os.stat_result


class IndexFiles(Struct, frozen=True):
    """Their content; without ``signature`` there shall be none."""

    index: bytes
    signature: bytes | None


class Sums(NamedTuple):
    """MD5 in hex."""

    whole: str
    last_mib: str


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def read_sidecar(path: Path, suffix: str, limit: int) -> bytes | None:
    """None when there is none. Raises ImageCorrupt for one of more than ``limit`` bytes."""
    try:
        with beside(path, suffix).open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit:
        raise ImageCorrupt(f"{path}{suffix} has more than {limit} bytes")
    return data


@contextmanager
def opened_alone(path: Path) -> Iterator[Original]:
    """The image, open for reading, while nobody else remakes it. Raises ImageLocked, ImageChanged."""
    _refuse_locked(path)
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ImageLocked(f"{path} is being indexed already") from error
        original = Original(path, file, os.fstat(file.fileno()))
        _refuse_changed(original)
        yield original


@contextmanager
def successor(original: Original) -> Iterator[BinaryIO]:
    """A new file beside the image, readable and writable as it is; gone at the end unless it became the image."""
    partial = beside(original.path, _PARTIAL)
    partial.unlink(missing_ok=True)  # of a run that was killed; nobody else is here
    with partial.open("x+b") as file:
        try:
            _inherit(file, original.status)
            yield file
        finally:
            partial.unlink(missing_ok=True)


def replace(original: Original, sums: Sums, files: IndexFiles) -> None:
    """The successor, complete and on the disk, becomes the image. Whatever happens, the image is always whole."""
    path = original.path
    with _locked(path):
        _refuse_changed(original)
        for suffix in (signature.SUFFIX, index.SUFFIX, ".full.sum", ".sum", ".torrent"):
            beside(path, suffix).unlink(missing_ok=True)
        beside(path, _PARTIAL).rename(path)
        _flush_directory(path)
        write_beside(original, ".full.sum", f"{sums.whole}\n".encode())
        write_beside(original, ".sum", f"{sums.last_mib}\n".encode())
        _correct_info(original)
        _write_index(original, files)


def replace_index(original: Original, files: IndexFiles) -> None:
    with _locked(original.path):
        _refuse_changed(original)
        beside(original.path, signature.SUFFIX).unlink(missing_ok=True)
        _write_index(original, files)


def _write_index(original: Original, files: IndexFiles) -> None:
    """The signature first: an index that is there is never without the signature that belongs to it."""
    if files.signature is not None:
        write_beside(original, signature.SUFFIX, files.signature)
    write_beside(original, index.SUFFIX, files.index)
    _flush_directory(original.path)


def _correct_info(original: Original) -> None:
    """``CLONATOR:COMPRESSOR:FSTYPE:DATASIZE_KB:CLIENT``. One that is older than its image, OpenGnsys throws away."""
    with suppress(FileNotFoundError):
        fields = beside(original.path, ".info").read_text("utf-8", errors="surrogateescape").split(":")
        if len(fields) == 5:
            fields[1] = "ZSTD"
            write_beside(original, ".info", ":".join(fields).encode("utf-8", errors="surrogateescape"))


def write_beside(original: Original, suffix: str, content: bytes) -> None:
    """What belongs to the image, in place of what was there."""
    partial, final = beside(original.path, f"{suffix}{_PARTIAL}"), beside(original.path, suffix)
    partial.unlink(missing_ok=True)
    with partial.open("xb") as file:
        _inherit(file, original.status)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(final)


def _inherit(file: BinaryIO, status: os.stat_result) -> None:
    """Whoever could read the original, and nobody else."""
    with suppress(PermissionError):  # only root may give files away
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
    os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode) & 0o666)


def _refuse_locked(path: Path) -> None:
    if beside(path, ".lock").exists():
        raise ImageLocked(f"{path} is locked", hint=f"wait until the work on it has ended, or remove {path.name}.lock")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    _refuse_locked(path)
    lock = beside(path, ".lock")
    try:
        lock.open("xb").close()
    except FileExistsError as error:
        raise ImageLocked(f"{path} is locked", hint=f"wait, or remove a stale {lock.name}") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _refuse_changed(original: Original) -> None:
    found, known = original.path.stat(), original.status
    if not os.path.samestat(found, known) or (found.st_size, found.st_mtime_ns) != (known.st_size, known.st_mtime_ns):
        raise ImageChanged(f"{original.path} was changed by somebody else meanwhile", hint="begin again")


def _flush_directory(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
