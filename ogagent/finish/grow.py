"""The file system fills its partition, which may be larger than the model's was.

ext2 to ext4, NTFS and F2FS are grown before they are mounted; XFS and btrfs know how to only while they are.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from ogagent.errors import AgentError, NotGrown
from ogagent.finish.machine import Root, View
from ogagent.finish.place import Volume
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.model.units import MIB, format_bytes
from ogagent.resize import reduce_ntfs
from ogagent.resize.resizer import resizer, until_free
from ogagent.system.patience import in_thread, to_its_end
from ogagent.system.reading import read_device

_GROW_S: Final = 4 * 3600.0
_REPAIRED: Final = (0, 1)  # of e2fsck(8): nothing was wrong, or nothing is by now
_LEFT: Final = 16 * MIB
"""What the tools may leave: the last block group of ext, when it would hold little more than its own tables, or a
section of F2FS.
"""
_WORTH: Final = MIB
_MOUNTED: Final = {"xfs": ("xfs_growfs", "-d"), "btrfs": ("btrfs", "filesystem", "resize", "max")}
_GEOMETRY: Final = struct.Struct("<I28xQ")  # xfs_fs.h, struct xfs_fsop_geom_v1: blocksize and datablocks
_GEOMETRY_SIZE: Final = 112
_GET_GEOMETRY: Final = 2 << 30 | _GEOMETRY_SIZE << 16 | ord("X") << 8 | 100  # XFS_IOC_FSGEOMETRY_V1


class Grow:
    """Implements ``ogagent.finish.step.Step``. ``work`` grows; it is ended by nothing but its own end."""

    name: Final = "grow"

    warnings: Final[Sequence[str]] = ()

    def __init__(
        self, volume: Volume, work: Callable[[], Awaitable[None]], measure: Callable[[], Awaitable[int]]
    ) -> None:
        """``measure`` gives the size of the file system in bytes. Raises OSError and AgentError."""
        self.would = f"the file system fills its {format_bytes(volume.target.size)}"
        self._volume = volume
        self._work = work
        self._measure = measure

    async def needed(self) -> bool:
        return self._volume.target.size - await self._size() >= _WORTH

    async def do(self) -> None:
        try:
            await self._work()
        except (AgentError, OSError) as error:
            reason = error.message if isinstance(error, AgentError) else error.strerror
            hint = error.hint if isinstance(error, AgentError) else ""
            raise NotGrown(f"{self._volume.target.name} could not be grown: {reason}", hint=hint) from error

    async def proof(self) -> None:
        size, found = self._volume.target.size, await self._size()
        if not size - _LEFT <= found <= size:
            raise NotGrown(f"{self._volume.target.name} has {size} bytes, its file system uses {found} of them")

    async def _size(self) -> int:
        try:
            return await self._measure()
        except OSError as error:
            raise NotGrown(f"{self._volume.target.device} cannot be read: {error.strerror}") from error


def grow_unmounted(volume: Volume) -> Grow | None:
    work = _UNMOUNTED.get(volume.filesystem)
    if work is None:
        return None
    device, size = volume.target.device, volume.target.size
    return Grow(
        volume,
        lambda: to_its_end(work(device, size)),
        lambda: read_device(device, lambda: _by_superblock(device)),
    )


def grow_mounted(volume: Volume, view: View, root: Root) -> Grow | None:
    if volume.filesystem not in _MOUNTED:
        return None
    argv = (*_MOUNTED[volume.filesystem], str(root.path))

    async def work() -> None:
        await to_its_end(view.run(argv, _GROW_S))

    return Grow(volume, work, lambda: in_thread(_mounted_size, root.path, volume))


def grows_mounted(volume: Volume) -> bool:
    """Of what is not mounted the superblock on the device tells."""
    if volume.filesystem not in _MOUNTED:
        return False
    return volume.target.size - _by_superblock(volume.target.device) >= _WORTH


async def _ext(device: str, _: int) -> None:
    for argv, good in ((("e2fsck", "-f", "-p", device), _REPAIRED), (("resize2fs", device), (0,))):
        await until_free(device)
        await resizer(*argv, timeout_s=_GROW_S, good=good)
    await in_thread(_flush_device, device)


async def _ntfs(device: str, size: int) -> None:
    await until_free(device)
    await reduce_ntfs.grow(device, size)
    await in_thread(_flush_device, device)


async def _f2fs(device: str, _: int) -> None:
    await until_free(device)
    await resizer("resize.f2fs", device, timeout_s=_GROW_S)
    await in_thread(_flush_device, device)


_UNMOUNTED: Final = {"ext2": _ext, "ext3": _ext, "ext4": _ext, "ntfs": _ntfs, "f2fs": _f2fs}


def _flush_device(device: str) -> None:
    with Path(device).open("rb", buffering=0) as file:
        os.fsync(file.fileno())


def _by_superblock(device: str) -> int:
    with Path(device).open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, PROBE_SIZE, os.POSIX_FADV_DONTNEED)
        found = recognize(os.pread(file.fileno(), PROBE_SIZE, 0))
    if found is None or not found.size:
        raise NotGrown(f"{device} does not hold a file system any more")
    return found.size


def _mounted_size(path: Path, volume: Volume) -> int:
    """XFS writes its superblock when it likes, and is asked; btrfs when it is told to."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if volume.filesystem == "xfs":
            block, blocks = _GEOMETRY.unpack_from(fcntl.ioctl(fd, _GET_GEOMETRY, bytes(_GEOMETRY_SIZE)))
            return int(block * blocks)
        os.fsync(fd)
    finally:
        os.close(fd)
    return _by_superblock(volume.target.device)
