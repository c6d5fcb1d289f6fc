"""The file system of a model made as small as it goes before it is captured, and brought back afterwards.

All that ``resize2fs`` or ``ntfsresize`` overwrite, but for what was free, is in an undo file on another partition
before they do. To bring the file system back that is played back: after the capture, after a failure, a cancel, or a
death at any moment. Then all is where it was, and nothing was resized a second time.

Whoever calls makes sure that the node is the right one and that nobody uses it, writes the plan down before ``reduce``,
and forgets it after ``grow_back``. The size of what was made smaller stands in its superblock: ``image.filesystem``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import AgentError, CannotReduce, ToolFailed, ToolMissing
from ogagent.model.filesystem import NTFS
from ogagent.resize import reduce_ext, reduce_ntfs
from ogagent.system.patience import to_its_end

_EXT: Final = ("ext2", "ext3", "ext4")


class Reduction(Struct, frozen=True, kw_only=True):
    """``filesystem`` as libblkid names it; ``undo`` the path of the undo file; ``size`` what the file system
    occupied before, ``target`` what an NTFS shall occupy, ``room`` what the undo file may have, in bytes. ``target`` is
    0 for what finds it out by itself, and for what is as small as it goes.
    """

    filesystem: str
    undo: str
    size: int
    target: int = 0
    room: int = 0


def reducible(filesystem: str) -> bool:
    """``filesystem`` as libblkid names it."""
    return filesystem in _EXT or filesystem == NTFS.blkid


async def prepare(device: str, filesystem: str, folder: Path, job_id: str) -> Reduction:
    """Looks only. ``folder``, which is on another partition, gets the undo file; one that outlives a power cut, when
    its file system knows the attribute S of chattr(1).

    Raises CannotReduce, and ToolMissing.
    """
    try:
        if filesystem in _EXT:
            undo = folder / f"{job_id}.e2undo"
            size, room = await reduce_ext.prepare(device, undo)
            return Reduction(filesystem=filesystem, undo=str(undo), size=size, room=room)
        if filesystem == NTFS.blkid:
            undo = folder / f"{job_id}.ntfsundo"
            size, target, room = await reduce_ntfs.prepare(device, undo)
            return Reduction(filesystem=filesystem, undo=str(undo), size=size, target=target, room=room)
    except (ToolMissing, CannotReduce):
        raise
    except (AgentError, OSError) as error:
        raise _cannot(device, error) from error
    raise CannotReduce(f"{filesystem} on {device} cannot be made smaller")


async def reduce(device: str, plan: Reduction) -> int:
    """Bytes that the file system occupies afterwards. A cancel stops the program at once, and is passed on when what it
    has done is taken back.

    Raises CannotReduce when the file system is as it was before; another AgentError, with what to do by hand, when it
    is not.
    """
    try:
        if plan.filesystem == NTFS.blkid:
            return await reduce_ntfs.shrink(device, Path(plan.undo), plan.size, plan.target)
        return await reduce_ext.shrink(device, Path(plan.undo), plan.room)
    except asyncio.CancelledError:
        await to_its_end(grow_back(device, plan))
        raise
    except (AgentError, OSError) as error:
        await to_its_end(grow_back(device, plan))
        raise _cannot(device, error) from error


async def grow_back(device: str, plan: Reduction) -> None:
    """From whatever a death has left, at any moment since ``prepare``; does nothing when nothing is to do. A cancel
    waits until it has ended.

    Raises an AgentError that says what to do by hand.
    """
    try:
        if plan.filesystem == NTFS.blkid:
            await to_its_end(reduce_ntfs.grow_back(device, Path(plan.undo), plan.size))
        else:
            await to_its_end(reduce_ext.grow_back(device, Path(plan.undo), plan.size))
    except OSError as error:
        raise ToolFailed(
            f"the file system on {device} cannot be brought back to {plan.size} bytes: {error}",
            hint=f"the agent tries again when it starts and {plan.undo or device} is there",
        ) from error


def _cannot(device: str, error: Exception) -> CannotReduce:
    said = error.message if isinstance(error, AgentError) else str(error)
    return CannotReduce(f"the file system on {device} cannot be made smaller: {said}")
