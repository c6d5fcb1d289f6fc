"""The machine that the agent runs on, as far as partitions of it are made ready."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk import blkid
from ogagent.disk.codes import is_bios_boot, is_esp
from ogagent.disk.machine import Device, Machine
from ogagent.disk.real import compare
from ogagent.errors import AgentError, FilesystemNotSupported, NotReady
from ogagent.finish import grow
from ogagent.finish.files import Files
from ogagent.finish.machine import Look, Root, View
from ogagent.finish.place import Volume
from ogagent.finish.step import Step
from ogagent.finish.tree import MountedFiles
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.filesystem import BTRFS, CHANGEABLE, driver_of
from ogagent.model.plan import bound
from ogagent.resize.resizer import resizer, wait_until_free
from ogagent.system import os_release, process
from ogagent.system.aside import aside
from ogagent.system.given_name import given_name
from ogagent.system.kernel_calls import HARMLESS, detach, mount_at, unmount
from ogagent.system.mounts import read_only
from ogagent.system.patience import in_thread
from ogagent.system.private_view import in_private_view
from ogagent.system.reading import read_device

_PATIENCE_S: Final = 30.0
_SERVE_S: Final = 24 * 3600.0
_END_S: Final = 600.0
"""For what is still to be written, once nothing is mounted any more."""
_POLL_S: Final = 0.05
_LEFT: Final = "finish-"
T = TypeVar("T")


class RealFinisher:
    """Implements ``ogagent.finish.machine.FinishMachine``. ``folder`` is a directory of the agent's own."""

    def __init__(self, machine: Machine, folder: Path, *, uefi: bool) -> None:
        self._machine = machine
        self.folder = folder
        self.uefi = uefi

    async def given_name(self) -> str:
        return await in_thread(given_name)

    async def volumes(self, inventory: Inventory) -> tuple[Volume, ...]:
        return tuple([await _volume(disk, part) for disk in inventory.disks for part in disk.partitions])

    @asynccontextmanager
    async def look(self, volume: Volume) -> AsyncIterator[Look]:
        target = volume.target
        async with read_only(target.device, volume.filesystem, self.folder, _comparing(volume)) as top:
            root, below = await _asked(target.device, top, _root_of, lambda late: os.close(late[0]))
            try:
                yield _Look(target.device, root, below)
            finally:
                os.close(root)

    async def in_view(self, work: Callable[[View], Coroutine[Any, Any, T]]) -> T:
        await in_thread(_clear, self.folder)
        return await in_private_view(lambda: work(_View(self.folder)))

    def grow(self, volume: Volume) -> Step | None:
        return grow.grow_unmounted(volume)

    def grow_mounted(self, volume: Volume, view: View, root: Root) -> Step | None:
        return grow.grow_mounted(volume, view, root)

    def grows_mounted(self, volume: Volume) -> bool:
        return grow.grows_mounted(volume)

    def open(self, volume: Volume) -> AbstractContextManager[Device]:
        wait_until_free(volume.target.device)  # of whoever has looked into it
        return self._machine.open_target(volume.target)


class _Look(Struct, frozen=True):
    device: str
    root: int
    below: str

    @property
    def files(self) -> Files:
        return MountedFiles(self.root)

    async def ask(self, reader: Callable[[Files], T]) -> T:
        return await _asked(self.device, self.root, lambda own: reader(MountedFiles(own)))


class _Root(Struct, frozen=True):
    files: Files
    below: str
    path: Path


class _View:
    """On a loop of its own, where blocking holds up nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def mounted(self, volume: Volume) -> AsyncIterator[Root]:
        place = Path(tempfile.mkdtemp(prefix=_LEFT, dir=self._folder))
        try:
            # Whoever has looked into it a moment ago had it by a loop device, which some kernels give back later.
            wait_until_free(volume.target.device)
            async with self._mounted(volume, place) as top:
                root, below = _root_of(top)
                try:
                    yield _Root(MountedFiles(root), below, Path(f"{place}{below}"))
                finally:
                    os.close(root)
        finally:
            os.rmdir(place)  # noqa: PTH106 - as the rest of what is done to it

    def _mounted(self, volume: Volume, place: Path) -> AbstractAsyncContextManager[int]:
        driver = driver_of(volume.filesystem)
        if driver is not None and driver.changing is not None:
            return _by_kernel(volume, driver.name, driver.changing, place)
        if driver is not None and driver.program:
            return _by_program(volume, driver.program, place)
        raise FilesystemNotSupported(
            f"{volume.target.name} holds {volume.filesystem or 'no file system'}, in which nothing can be changed",
            hint=f"what can be made ready: {', '.join(CHANGEABLE)}",
        )

    async def run(self, argv: Sequence[str], timeout_s: float) -> str:
        return await resizer(*argv, timeout_s=timeout_s)

    async def hook(self, argv: Sequence[str], timeout_s: float, stdin: bytes, variables: Mapping[str, str]) -> None:
        await process.run(argv, timeout_s=timeout_s, stdin=stdin, variables=variables)


@asynccontextmanager
async def _by_kernel(volume: Volume, driver: str, options: tuple[str, ...], place: Path) -> AsyncIterator[int]:
    device = os.open(volume.target.device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        top = _mount(driver, volume.target.device, options, place)
        try:
            # While it is mounted nobody else can have it: what is compared now stays so.
            _expect_of(device, top, volume)
            yield top
        finally:
            os.close(top)
            _unmount(place)
    finally:
        os.close(device)


def _mount(driver: str, device: str, options: tuple[str, ...], place: Path) -> int:
    try:
        return mount_at(driver, device, options, HARMLESS, str(place))
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise NotReady(
                f"{device} cannot be mounted: this kernel has no driver {driver}",
                hint="use an ogLive whose kernel has it",
            ) from error
        hint = "it takes Linux 5.14 or later" if error.errno in (errno.ENOSYS, errno.EINVAL) else ""
        raise NotReady(f"{device} cannot be mounted as {driver}: {error.strerror}", hint=hint) from error


def _expect_of(device: int, top: int, volume: Volume) -> None:
    """Files of btrfs have a device number of their own, that of the subvolume."""
    if volume.filesystem != BTRFS.blkid and os.fstat(top).st_dev != os.fstat(device).st_rdev:
        raise NotReady(f"{volume.target.device} is not what was mounted")
    _comparing(volume)(device)


@asynccontextmanager
async def _by_program(volume: Volume, program: str, place: Path) -> AsyncIterator[int]:
    """It serves the file system for as long as it is mounted, and ends by itself when all of it is on the medium."""
    argv = [program, "-o", "nosuid,nodev,noexec,no_detach", volume.target.device, str(place)]
    serving = asyncio.create_task(process.run(argv, timeout_s=_SERVE_S))
    try:
        while not _is_mounted(place):
            if serving.done():
                failure = serving.exception()
                reason = failure.message if isinstance(failure, AgentError) else "its program has ended"
                raise NotReady(f"{volume.target.device} cannot be mounted: {reason}") from failure
            await asyncio.sleep(_POLL_S)
        top = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield top
        finally:
            os.close(top)
            _unmount(place)
            await asyncio.wait([serving], timeout=_END_S)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError, AgentError):
            await serving


def _is_mounted(place: Path) -> bool:
    return place.is_mount()


def _unmount(place: Path) -> None:
    try:
        unmount(str(place))
    except OSError as error:
        detach(str(place))
        raise NotReady(f"what was mounted for it cannot be unmounted: {error.strerror}") from error


def _root_of(top: int) -> tuple[int, str]:
    """Where the root of the system is, and its path from the top: btrfs has it in a subvolume."""
    files = MountedFiles(top)
    inner = [each for each in os_release.ROOTS[1:] if files.names(f"{each}/etc") and not files.names("etc")]
    below = inner[0] if inner else "."
    root = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    return root, f"/{below}" if inner else ""


async def _asked(device: str, root: int, reader: Callable[[int], T], late: Callable[[T], object] = lambda _: None) -> T:
    own = os.dup(root)

    def work() -> T:
        try:
            return reader(own)
        finally:
            os.close(own)

    return await read_device(device, work, late=late)


def _comparing(volume: Volume) -> Callable[[int], None]:
    return lambda fd: compare(fd, 0, volume.target)


async def _volume(disk: Disk, part: Partition) -> Volume:
    facts = Volume(
        target=bound(disk, part),
        filesystem=part.filesystem,
        label=part.label,
        part_label=part.name,
        esp=is_esp(part.code),
        bios_boot=is_bios_boot(part.code),
    )
    try:
        uuid, part_uuid = await aside(_PATIENCE_S, lambda: _uuids(part.device))
    except (TimeoutError, OSError):
        return facts  # an extended partition, or a disk that does not answer: nothing on it has a name that counts
    return replace(facts, uuid=uuid, part_uuid=part_uuid)


def _uuids(device: str) -> tuple[str, str]:
    fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return blkid.filesystem_uuid(fd), blkid.partition_uuid(fd)
    finally:
        os.close(fd)


def _clear(folder: Path) -> None:
    """Places of an agent that was killed; what was mounted there the kernel has taken away with it."""
    for place in folder.glob(f"{_LEFT}*"):
        with suppress(OSError):
            place.rmdir()
