"""Images in the CACHE, where OpenGnsys keeps them: ``opt/opengnsys/images/NAME.img``, with what lies beside each.

An image that is not whole is called ``NAME.img.VERSION.partial``; what of it is there says ``….partial.map``. A map
proves nothing, nor does a name: whoever takes bytes from here proves them. What is open is locked, and not removed.
Blocking, for one thread alone; everything raises OSError or CacheFull.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Final

from ogagent.model.units import MIB
from ogagent.source.ranges import Ranges
from ogagent.source.room import IMAGES, LENT, MAP, PARTIAL, SIDECARS, Room, lock, remove
from ogagent.system import beneath

_DIRTY: Final = 64 * MIB
"""So much is written before it must be on the medium: nobody shall have to wait long for what lies in memory."""

_READABLE: Final = 0o644
_FOUND_BY_NAME: Final = 0o711
"""Whoever has lent it may look how long it is, also without every right."""

Run = list[tuple[int, bytes]]
"""Bytes, and where in a file they belong."""


class KeptFile:
    """An open file of the shelf. ``there``: what it holds, for all that is known; ``mapped``: a later job will know."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._out: int | None = None
        self._dirty = 0
        self.name = name
        self.size = os.fstat(fd).st_size
        self.there = Ranges()
        self.mapped = False

    def read(self, position: int, length: int) -> bytes:
        return os.pread(self._fd, length, position)

    def write(self, run: Run) -> None:
        out = self._output()
        for position, chunk in sorted(run, key=itemgetter(0)):
            done = 0
            while done < len(chunk):
                done += os.pwrite(out, memoryview(chunk)[done:], position + done)
            self.there.add(position, position + len(chunk))
            self._dirty += len(chunk)
        if self._dirty >= _DIRTY:
            self.flush()

    def _output(self) -> int:
        if self._out is None:  # it may have been opened when nothing could be written yet
            self._out = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_CLOEXEC)
        return self._out

    def forget(self) -> None:
        """What it holds; whoever fills it shows by its length how far he is."""
        self.there = Ranges()
        os.ftruncate(self._fd, 0)

    def change_owner(self, uid: int, gid: int) -> None:
        """To somebody else, who may keep others from opening it; what is open already stays so. When it comes back
        nobody else may write to it, whatever he has allowed.
        """
        self._output()
        owner, own = os.fstat(self._fd).st_uid, os.geteuid()
        if owner == own:  # nobody else may
            os.fchmod(self._fd, _READABLE)
        if owner != uid:
            os.fchown(self._fd, uid, gid)
            if uid == own:
                os.fchmod(self._fd, _READABLE)

    def flush(self) -> None:
        os.fdatasync(self._fd)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._dirty = 0

    def resize(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self.size = size

    def used_now(self) -> None:
        """For whoever has to make room."""
        os.utime(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        if self._out is not None:
            os.close(self._out)


class ImageShelf:
    """The place of one image. With ``evict`` others are removed when it needs their room."""

    def __init__(self, root: Path, name: str, *, evict: bool) -> None:
        *folder, last = name.split("/")
        self._root = root
        self._folder = tuple(folder)
        self._final = f"{last}.img"
        self._own: int | None = None
        self._kept: KeptFile | None = None
        self._room = Room(root, self._folder, self._final, evict=evict)

    def whole(self, suffix: str, proof: bytes) -> KeptFile | None:
        """The image that has the name, when the file beside it that ends in ``suffix`` holds ``proof``; to be read.

        None also when somebody is just giving it the name.
        """
        try:
            own = self._directory(make=False)
        except FileNotFoundError:
            return None
        if beneath.read_file(own, self._final + suffix, len(proof) + 1) != proof:
            return None
        fd = beneath.open_file(own, self._final)
        kept = None if fd is None else self._taken(fd, self._final, fcntl.LOCK_SH)
        if kept is not None:
            kept.there = Ranges(0, kept.size)
        return kept

    def partial(self, version: str, size: int, parts: int) -> KeptFile | None:
        """One that is to become the image; with what an earlier job has left of it, in ``parts`` pieces at most.

        None when somebody else is writing it.
        """
        own = self._directory(make=True)
        name = f"{self._final}.{version}{PARTIAL}"
        another = re.compile(rf"{re.escape(self._final)}\.\w{{{len(version)}}}{re.escape(PARTIAL)}")
        for each in beneath.files(own):
            if each != name and another.fullmatch(each):
                remove(own, each)
        if not _given_back(own, name):
            return None
        fd = beneath.open_file(own, name, os.O_RDWR)
        if fd is None:
            fd = beneath.create_file(own, name)
        kept = self._taken(fd, name, fcntl.LOCK_EX)
        if kept is None:
            return None
        if parts:
            data = beneath.read_file(own, name + MAP, Ranges.longest(parts)) or b""
            kept.there, kept.mapped = Ranges.decode(data, kept.size), True
        if not kept.there.total:
            kept.resize(0)
        kept.resize(size)
        return kept

    def expect(self, needed: int | None) -> None:
        """Raises CacheFull when there is no room for so many bytes, nor could be made. Removes nothing.

        None: of an image of unknown length, for which nothing that is of use is removed later, either.
        """
        self._room.expect(needed)

    def write(self, kept: KeptFile, run: Run) -> None:
        """Raises CacheFull when there is no room, nor could be made."""
        if kept.name == self._final:  # what is put right has its blocks
            kept.write(run)
            return
        needed = sum(len(chunk) for _, chunk in run)
        self._room.make(needed)
        try:
            kept.write(run)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._room.make_more(needed)
            kept.write(run)
        _save_map(kept, self._directory(make=False))

    def lend(self, kept: KeptFile, name: str, needed: int, uid: int, gid: int) -> int:
        """To somebody who may write to it until it is taken back: the descriptor of a directory, his own, in which it
        has this ``name``. Room is made for so many bytes.
        """
        self._room.make(needed)
        own = self._directory(make=False)
        folder = beneath.make_folder(own, kept.name + LENT)
        try:
            os.link(kept.name, name, src_dir_fd=own, dst_dir_fd=folder, follow_symlinks=False)
            kept.change_owner(uid, gid)
            os.fchmod(folder, _FOUND_BY_NAME)
            os.fchown(folder, uid, gid)
        except BaseException:
            self.take_back(kept, folder)
            raise
        return folder

    def take_back(self, kept: KeptFile, folder: int) -> None:
        os.close(folder)
        kept.change_owner(os.geteuid(), os.getegid())
        kept.resize(kept.size)
        beneath.remove_folder(self._directory(make=False), kept.name + LENT)

    def has(self, suffix: str) -> bool:
        """Beside the image."""
        return beneath.is_file(self._directory(make=False), self._final + suffix)

    def add(self, suffix: str, content: bytes) -> None:
        """Beside the image."""
        beneath.replace_file(self._directory(make=False), self._final + suffix, content)

    def publish(self, kept: KeptFile, sidecars: Mapping[str, bytes]) -> None:
        """It takes the place of what had the name, and was used now, whenever its first part came."""
        kept.change_owner(os.geteuid(), os.getegid())
        kept.used_now()
        kept.flush()
        own = self._directory(make=False)
        for suffix in SIDECARS:
            beneath.discard(own, self._final + suffix)
        os.rename(kept.name, self._final, src_dir_fd=own, dst_dir_fd=own)
        beneath.discard(own, kept.name + MAP)
        kept.name, kept.mapped = self._final, False
        for suffix, content in sidecars.items():
            beneath.replace_file(own, self._final + suffix, content)
        os.fsync(own)

    def close(self) -> None:
        """What is open. A part that no later job could go on with is removed."""
        kept, own = self._kept, self._own
        self._kept = self._own = None
        try:
            if kept is not None and own is not None:
                self._leave(kept, own)
        finally:
            if kept is not None:
                kept.close()
            if own is not None:
                os.close(own)

    def _leave(self, kept: KeptFile, own: int) -> None:
        if kept.mapped and kept.there.total:
            _save_map(kept, own)
        elif kept.name != self._final:
            beneath.discard(own, kept.name + MAP)
            beneath.discard(own, kept.name)

    def _directory(self, *, make: bool) -> int:
        if self._own is None:
            self._own = beneath.open_directory(self._root, *IMAGES, *self._folder, make=make)
        return self._own

    def _taken(self, fd: int, name: str, how: int) -> KeptFile | None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if not lock(fd, how):
            os.close(fd)
            return None
        self._kept = KeptFile(fd, name)
        return self._kept


def _given_back(own: int, name: str) -> bool:
    """What a job that was killed has lent is its own again. False when somebody has the file."""
    fd = beneath.open_file(own, name)
    if fd is None:
        return True
    try:
        if not lock(fd, fcntl.LOCK_EX):
            return False
        beneath.remove_folder(own, name + LENT)
        beneath.take(own, name)
    finally:
        os.close(fd)
    return True


def _save_map(kept: KeptFile, own: int) -> None:
    """It may survive a power cut that the bytes did not: what is wrong is found when it is used."""
    if kept.mapped:
        beneath.replace_file(own, kept.name + MAP, kept.there.encode())
