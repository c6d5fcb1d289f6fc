"""The partition that is made ready, and the machine around it, as far as a system has to know them."""

from __future__ import annotations

from typing import Final, Self

from msgspec import Struct

from ogagent.errors import DiskChanged
from ogagent.model.disk import Inventory, TableKind
from ogagent.model.plan import Target

SWAP: Final = ("swap", "swsuspend")


class Volume(Struct, frozen=True, kw_only=True):
    """What one partition of this machine holds. ``filesystem`` as libblkid calls it; what is not there is empty."""

    target: Target
    filesystem: str = ""
    uuid: str = ""
    part_uuid: str = ""
    label: str = ""
    part_label: str = ""
    esp: bool = False
    bios_boot: bool = False

    @property
    def swap(self) -> bool:
        return self.filesystem in SWAP


class Centre(Struct, frozen=True, kw_only=True):
    """Where the agent of an installed system finds its ogCore; ``ca`` is PEM, empty: the system's store vouches for it.
    ``url`` empty: there is none.
    """

    url: str = ""
    ca: bytes = b""


_NO_CENTRE: Final = Centre()


class Place(Struct, frozen=True, kw_only=True):
    """``volumes`` are those of the whole machine, this one among them; ``uefi``: by which the machine has booted.

    ``hostname`` is empty when nobody has given this machine a name.
    """

    volume: Volume
    table: TableKind | None
    volumes: tuple[Volume, ...] = ()
    uefi: bool = False
    hostname: str = ""
    centre: Centre = _NO_CENTRE

    @property
    def target(self) -> Target:
        return self.volume.target

    @property
    def swap(self) -> Volume | None:
        return self._nearest(tuple(each for each in self.volumes if each.swap and each.uuid))

    @property
    def esp(self) -> Volume | None:
        """That may be written to: not one that disks.exclude names, or that shares bytes with another."""
        found = (each for each in self.volumes if each.esp and each.filesystem == "vfat")
        return self._nearest(tuple(each for each in found if not each.target.problem))

    @classmethod
    def of(
        cls,
        target: Target,
        inventory: Inventory,
        volumes: tuple[Volume, ...],
        *,
        uefi: bool,
        name: str,
        centre: Centre = _NO_CENTRE,
    ) -> Self:
        """Raises DiskChanged when the partition is not where it was."""
        own = next((each for each in volumes if _same(each.target, target)), None)
        if own is None:
            raise DiskChanged(f"{target.name} is not where it was", hint="read the inventory again")
        table = next(disk.table for disk in inventory.disks if disk.identity == target.identity)
        return cls(volume=own, table=table, volumes=volumes, uefi=uefi, hostname=name, centre=centre)

    def _nearest(self, found: tuple[Volume, ...]) -> Volume | None:
        """On the same disk, or on the first that has one."""
        near = (each for each in found if each.target.identity == self.target.identity)
        return next(near, found[0] if found else None)


def _same(one: Target, other: Target) -> bool:
    """Its disk may have another number by now."""
    facts = [(each.identity, each.partition, each.start, each.size) for each in (one, other)]
    return facts[0] == facts[1]
