"""One image to one block device or file: the engine without a server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar

from ogagent.disk.by_path import ByPath, target_at
from ogagent.disk.codes import mark_cache, may_be_a_cache
from ogagent.disk.content import Content, probe
from ogagent.disk.excluded import Excluded
from ogagent.disk.identity import sysfs_directory
from ogagent.disk.inventory import read_disk
from ogagent.disk.kernel import KernelDisk, describe_disk
from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.disk.precious import member_of_a_volume, refuse_precious
from ogagent.disk.sleepers import hibernated_beside, warnings_of
from ogagent.errors import DiskNotFound, NotConfirmed, TargetIsCache, TargetIsSystem
from ogagent.imagefile.check import describe
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.model.units import format_bytes
from ogagent.restore.job import read_header, restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy

_POLL_S: Final = 0.1
_SEE: Final = "choose another one, or see the agent's configuration"


async def restore_to(
    source: str,
    path: str,
    policy: SourcePolicy,
    console: Console,
    excluded: Excluded,
    *,
    read_back: bool,
    confirmed: bool,
) -> Progress:
    """Asks before it writes unless ``confirmed``.

    Raises NotConfirmed, and other AgentErrors; the target then mounts nowhere or is untouched.
    """
    if _same(source, path):
        raise TargetIsSystem(f"{path} is the image itself")
    number = block_device_number(path)
    suspended, sleeping = ((), ()) if number is None else await _look_around(path, number, excluded)
    plan = replace(_plan(source, path, number or 0), suspended=suspended, sleeping=sleeping)
    header = await read_header(plan, policy)
    summary = f"{plan.source}\n  {describe(header)}\n{path}\n  {format_bytes(plan.target.size)}"
    foreseen = warnings_of(plan)
    console.print("\n".join((summary, *foreseen)), highlight=False, markup=False, emoji=False)
    if not confirmed:
        _ask(console)
    progress = Progress(read_back_wanted=read_back)
    work = asyncio.create_task(restore(plan, ByPath(), policy, progress))
    await _show(work, progress, console)
    await work
    unforeseen = [warning for warning in progress.warnings if warning not in foreseen]
    console.print("\n".join((*unforeseen, _result(progress))), markup=False, emoji=False)
    return progress


def _ask(console: Console) -> None:
    """Raises NotConfirmed."""
    try:
        answer = console.input("Everything on it will be overwritten. Go on? \\[yes/no] ").strip()
    except EOFError:
        raise NotConfirmed("nothing was written: nobody answers", hint="--yes goes on without an answer") from None
    if answer != "yes":
        raise NotConfirmed("nothing was written: the answer was not yes")


def _result(progress: Progress) -> str:
    seconds = sum(progress.timings.seconds.values())
    done = "written, flushed and read back" if progress.read_back_wanted else "written and flushed"
    slowest = f"; the others waited for {progress.bottleneck}" if progress.bottleneck else ""
    reused = f", {format_bytes(progress.reused)} were there already" if progress.reused else ""
    return f"Done: {format_bytes(progress.written)} {done}{reused} in {seconds:.1f} s{slowest}."


async def _look_around(path: str, number: int, excluded: Excluded) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """Where a Linux sleeps beside it, and where a Windows does. Looks at the block device with this number and at the
    disk that it is, or is on; at no other. Raises the Refusal that fits when it must not be written.
    """
    directory = sysfs_directory(number)
    is_partition = (directory / "partition").exists()
    kernel = await asyncio.to_thread(_kernel_disk, path, directory.parent if is_partition else directory)
    kernel = replace(kernel, protected=excluded.spans_on(kernel.identity))
    if kernel.identity in excluded.disks:
        raise TargetIsSystem(f"{path} is protected: disks.exclude names {kernel.device}", hint=_SEE)
    (disk,) = mark_cache([await read_disk(0, kernel)])
    if not is_partition:
        if disk.partitions or kernel.partitions:
            raise TargetIsSystem(f"{path} is a whole disk with partitions", hint="name one of its partitions")
        held = await asyncio.to_thread(_content, path, kernel.size)
        if held.member:
            raise member_of_a_volume(path, held.filesystem)
        return (), ()
    partition = next((each for each in disk.partitions if block_device_number(each.device) == number), None)
    if disk.problem:
        hint = f"look at it (lsblk -f {disk.device}) before anything is done to it"
        raise TargetIsSystem(f"{path} must not be written: disk {disk.device}: {disk.problem}", hint=hint)
    if partition is None:
        raise TargetIsSystem(
            f"{path} is not in the partition table of {disk.device}",
            hint=f"nobody can tell what it is: look at it with sfdisk --list {disk.device}",
        )
    if partition.cache or may_be_a_cache(disk, partition):
        raise TargetIsCache(f"{path} is the CACHE")
    refuse_precious(disk, partition, path)
    return hibernated_beside([partition], Inventory(disks=(disk,)))


def _content(path: str, size: int) -> Content:
    try:
        with Path(path).open("rb") as device:
            return probe(device.fileno(), 0, size)
    except OSError as error:
        raise DiskNotFound(f"{path} cannot be read: {error.strerror or error}") from error


def _kernel_disk(path: str, directory: Path) -> KernelDisk:
    try:
        return describe_disk(directory, read_occupants())
    except (OSError, ValueError) as error:
        raise DiskNotFound(f"the kernel does not tell what {path} is: {error}") from error


def _plan(source: str, path: str, number: int) -> RestorePlan:
    url = source if "://" in source else Path(source).resolve().as_uri()
    request = RestoreRequest(dsk=1, par=1, idi="", nci="", ipr="")
    return RestorePlan(request=request, target=target_at(path, number), source=url)


def _same(one: str, other: str) -> bool:
    """Also for two names of one block device."""
    number = block_device_number(other)
    if number is not None:
        return block_device_number(one) == number
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - Path.samefile raises for a missing first, not only second
    except OSError:
        return False


async def _show(work: asyncio.Task[None], progress: Progress, console: Console) -> None:
    columns = (
        TextColumn("{task.description:<12}"), BarColumn(), DownloadColumn(binary_units=True),
        TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    try:
        with ProgressBar(*columns, console=console, transient=True) as bar:
            phase = None
            task = bar.add_task("checking", total=None)
            while not work.done():
                if progress.phase is not phase and progress.phase is not None:
                    phase = progress.phase
                    bar.reset(task, description=phase, total=progress.total)
                done = progress.read_back if phase == "reading-back" else progress.in_place
                bar.update(task, completed=done, total=progress.total)
                await asyncio.wait([work], timeout=_POLL_S)
    finally:
        work.cancel()
        await asyncio.wait([work])
