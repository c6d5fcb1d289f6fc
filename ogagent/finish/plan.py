"""What is done to make a partition ready, in its order, from what lies on it and what this machine is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import AgentError, NotReady
from ogagent.finish import windows
from ogagent.finish.agent_settings import agent_edits
from ogagent.finish.bcd import NameBootDevices, stores
from ogagent.finish.boot_code import BootCode
from ogagent.finish.drive import place_of
from ogagent.finish.edits import Edits
from ogagent.finish.efi import FirmwareEntry, esp_of, first_program, loader_edits, loaders_of
from ogagent.finish.files import Files
from ogagent.finish.grub import BiosGrub, manages, refuse_grub
from ogagent.finish.hidden_sectors import FollowStart
from ogagent.finish.hook import Hook, Job
from ogagent.finish.linux import identity_steps, pinned_networks
from ogagent.finish.machine import FinishMachine, Look, View
from ogagent.finish.place import Place, Volume
from ogagent.finish.startable import refuse_other_root, refuse_twin
from ogagent.finish.step import Step
from ogagent.finish.system import System, system_in
from ogagent.settings import FinishSettings
from ogagent.system.patience import in_thread
from ogagent.system.tree import TooLarge

Warn = Callable[[AgentError], None]
_NOWHERE: Final = Path("/")
LINUX: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs")


class Site(Struct, frozen=True, kw_only=True):
    """Where the system is found: its files, those of the EFI system partition where one is needed, and the path for
    programs. Without a ``view`` it can only be looked at. ``folder`` is the agent's own, for copies.
    """

    place: Place
    files: Files
    folder: Path
    esp: Files | None = None
    path: Path = _NOWHERE
    view: View | None = None
    look: Callable[[Volume], AbstractAsyncContextManager[Look]]
    """Into another partition, without changing it."""
    below: str = ""
    """The root of the system, from the top of its file system: ``/@``, of btrfs."""


def boot_sector_steps(machine: FinishMachine, volume: Volume, system: System | None, boot: bool) -> list[Step]:
    """What is done to a Windows before it is mounted."""
    if system is None or not system.windows or not boot:
        return []
    return [FollowStart(volume.target, lambda: machine.open(volume))]


def needed_esp(place: Place, files: Files, settings: FinishSettings) -> Volume | None:
    """The EFI system partition that the system starts from. Raises NotReady."""
    system = system_in(files, place.volume)
    if not settings.boot or not place.uefi or system is None:
        return None
    return esp_of(place, system)


async def steps_of(site: Site, settings: FinishSettings, job: Job, warn: Warn) -> list[Step]:
    """What is done while the system is mounted. Raises AgentError."""
    try:
        return [step async for step in _steps(site, settings, job, warn)]
    except OSError as error:
        raise NotReady(f"the system's files cannot be read: {error.strerror}") from error
    except TooLarge as error:
        raise NotReady(f"this is no system as others are: {error}") from error


async def _steps(site: Site, settings: FinishSettings, job: Job, warn: Warn) -> AsyncIterator[Step]:
    system = system_in(site.files, site.place.volume)
    if system is not None and system.windows:
        async for step in _windows(site, settings):
            yield step
    elif system is not None:
        async for step in _linux(site, system, settings, warn):
            yield step
    if settings.hook:
        yield Hook(settings.hook, settings.hook_timeout_s, site.place, job, site.path, site.view)


async def _linux(site: Site, system: System, settings: FinishSettings, warn: Warn) -> AsyncIterator[Step]:
    place = site.place
    if settings.identity:
        for step in identity_steps(site.files, place):
            yield step
        for path in pinned_networks(site.files):
            warn(NotReady(f"{path} names a network card of the model: this machine has another one"))
    if settings.agent and (edits := list(agent_edits(site.files, place.centre))):
        yield Edits(site.files, "agent", f"its agent belongs to {place.centre.url}", edits)
    if settings.boot:
        refuse_other_root(place, site.files, system)
        refuse_twin(place)
    if settings.boot and place.uefi:
        for step in _by_uefi(site, system):
            yield step
    elif settings.boot and (manager := await _manager(site)):
        warn(NotReady(f"{place.target.disk_device} starts by the GRUB of {manager.target.name}, which is left alone"))
    elif settings.boot:
        refuse_grub(place, system)
        yield BiosGrub(place, site.files, site.path, site.view)


async def _manager(site: Site) -> Volume | None:
    """The partition whose GRUB the disk starts, and which starts this one."""
    own = site.place.target
    for volume in site.place.volumes:
        if volume.target.identity == own.identity and volume.target != own and volume.filesystem in LINUX:
            with suppress(AgentError, TooLarge, OSError):  # of what cannot be looked into nobody starts
                async with site.look(volume) as other:
                    if manages(site.place, other.files):
                        return volume
    return None


def _by_uefi(site: Site, system: System) -> list[Step]:
    esp = esp_of(site.place, system)
    loaders = loaders_of(site.files)
    files = _esp_files(site, esp)
    edits = list(loader_edits(site.place, system, loaders, files, f"{site.below}/{system.menu}"))
    folder = edits[-1].path.rpartition("/")[0]
    path = "\\" + f"{folder}/{first_program(system, loaders, files)}".replace("/", "\\")
    return [
        Edits(files, "boot loader", f"{esp.target.device} starts {site.place.target.name}", edits),
        FirmwareEntry(esp, loaders.vendor(system), path),
    ]


async def _windows(site: Site, settings: FinishSettings) -> AsyncIterator[Step]:
    """What the boot manager named is known by the letter of the drive: that comes after it."""
    place, folder = site.place, site.folder
    system = await windows.look(site.files, folder)
    if system is None:
        raise NotReady(f"the Windows on {place.target.name} has no registry", hint="make the image again")
    if settings.identity and place.hostname:
        yield windows.NameComputer(site.files, system, folder, windows.computer_name(place.hostname))
    if not settings.boot or place.table is None:
        return
    former = await windows.drive_id(site.files, system, folder)
    here = await in_thread(place_of, place.target, place.table)
    own = not place.uefi
    kept = site.files if own else _esp_files(site, esp_of(place, System(name=system.name, windows=True)))
    found = stores(kept)
    if not found:
        raise NotReady(
            f"{system.name} on {place.target.name} has no boot store there, and none that would start it",
            hint="its boot files (bcdboot) are on a partition of the model that has to be restored as well",
        )
    for path in found:
        yield NameBootDevices(kept, path, folder, former=former, here=here, own=own)
    yield windows.LetterDrive(site.files, system, folder, here)
    if own and place.table == "msdos":
        yield BootCode(place)


def _esp_files(site: Site, esp: Volume) -> Files:
    if site.esp is None:
        raise NotReady(f"{esp.target.name} is not mounted")
    return site.esp
