"""What follows a restore: the partition is made ready, see ``ogagent.finish``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ogagent.disk.machine import Machine
from ogagent.errors import AgentError, NotReady
from ogagent.finish.finish import make_ready
from ogagent.finish.hook import Job
from ogagent.finish.machine import FinishMachine
from ogagent.finish.place import Centre, Place
from ogagent.model.filesystem import of_image
from ogagent.model.plan import ImageHeader, Target
from ogagent.model.progress import JobProgress
from ogagent.model.units import MIB, format_bytes
from ogagent.settings import FinishSettings, OgCoreSettings
from ogagent.system.patience import in_thread

_GROWN: Final = ("Linux", "Windows")


class Finishing:
    def __init__(
        self, machine: Machine, finisher: FinishMachine, settings: FinishSettings, ogcore: OgCoreSettings
    ) -> None:
        self._machine = machine
        self._finisher = finisher
        self._settings = settings
        self._ogcore = ogcore

    async def make_ready(
        self, target: Target, request: Mapping[str, str], progress: JobProgress, note: bytes = b""
    ) -> None:
        """Raises FinishError."""
        place = await self._place(target)
        job = Job(job_id=progress.job_id, request=request)
        await make_ready(self._finisher, place, self._settings, job, progress, note)

    async def outlook(self, target: Target, image: ImageHeader) -> tuple[str, ...]:
        """For people; what depends on the system in the image is told when that is on the disk."""
        try:
            place = await self._place(target)
        except AgentError as error:
            return (f"what makes {target.name} ready cannot be told: {error.message}",)
        return tuple(_outlook(place, self._settings, image))

    async def _place(self, target: Target) -> Place:
        inventory = await self._machine.inventory(thorough=False)
        volumes = await self._finisher.volumes(inventory)
        name = self._settings.hostname or await self._finisher.given_name()
        centre = await in_thread(centre_of, self._ogcore)
        return Place.of(target, inventory, volumes, uefi=self._finisher.uefi, name=name, centre=centre)


def centre_of(ogcore: OgCoreSettings) -> Centre:
    """Blocking. Raises NotReady."""
    try:
        return Centre(url=ogcore.url, ca=Path(ogcore.ca).read_bytes() if ogcore.ca else b"")
    except OSError as error:
        raise NotReady(f"{ogcore.ca} (ogcore.ca) cannot be read: {error.strerror}") from error


def _outlook(place: Place, settings: FinishSettings, image: ImageHeader) -> Iterator[str]:
    known = of_image(image.filesystem)
    if settings.grow and known and known.family in _GROWN and place.target.size - image.device_size >= MIB:
        yield f"grow: the file system fills its {format_bytes(place.target.size)}"
    if settings.identity:
        name = f"it is called {place.hostname}" if place.hostname else "it keeps the name of the model"
        yield f"identity: {name}; machine id, host keys and fstab are its own"
    if settings.boot:
        yield f"boot loader: {_loader(place)}"
    if settings.hook:
        yield f"hook: {settings.hook} is run"


def _loader(place: Place) -> str:
    if not place.uefi:
        return f"GRUB in {place.target.disk_device}"
    if place.esp is None:
        return "there is no EFI system partition that it could lie on"
    return f"that of the image on {place.esp.target.device}"
