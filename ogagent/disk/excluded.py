"""What ``disks.exclude`` protects: disks, and single partitions of disks that are otherwise used.

A name may go, or come to stand for something else, while the agent runs. Protected is what it stood for at the start
and what it stands for now. The former is known by the identity of its disk, not by a device number: what is unplugged
comes back with another number, and its old one goes to whoever is plugged in next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ogagent.disk.identity import device_node, disk_identity, disk_of_partition, sysfs_directory
from ogagent.disk.layout import Span
from ogagent.disk.occupancy import block_device_number
from ogagent.errors import SettingsError, TargetIsSystem
from ogagent.model.disk import PROTECTED


class Excluded(Struct, frozen=True):
    """By identity: whole disks, and places on disks."""

    disks: frozenset[str] = frozenset()
    places: frozenset[tuple[str, Span]] = frozenset()

    def spans_on(self, identity: str) -> tuple[Span, ...]:
        return tuple(span for disk, span in self.places if disk == identity)

    def protects(self, identity: str, span: Span) -> bool:
        return identity in self.disks or any(each.meets(span) for each in self.spans_on(identity))


class Exclusions:
    """Blocking."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Raises SettingsError for a path that is no block device: it would protect nothing, and nobody would know."""
        self._paths = paths
        named = {path: _named(path) for path in paths}
        for path in (path for path in paths if named[path] is None):
            raise SettingsError(
                f"disks.exclude: {path} is no block device on this machine",
                hint="correct it, or take it out; nothing starts as long as it is not known what must not be touched",
            )
        self._at_start = _together(named.values())

    def now(self) -> Excluded:
        found = _together(map(_named, self._paths))
        return Excluded(self._at_start.disks | found.disks, self._at_start.places | found.places)

    def refuse(self, device: str, identity: str, spans: Iterable[Span]) -> None:
        """Also what a job of an earlier agent was bound to, before somebody protected it. Raises TargetIsSystem."""
        now = self.now()
        if identity in now.disks or any(now.protects(identity, span) for span in spans):
            raise TargetIsSystem(f"{device}: {PROTECTED}", hint="see the agent's configuration")

    def refuse_path(self, path: str) -> None:
        """A block device of which any byte is protected. Raises TargetIsSystem."""
        named, now = _named(path) or Excluded(), self.now()
        for disk, span in named.places:
            self.refuse(path, disk, [span])
        for disk in named.disks:
            self.refuse(path, disk, now.spans_on(disk))


def _together(named: Iterable[Excluded | None]) -> Excluded:
    found = [each for each in named if each is not None]
    disks = frozenset(disk for each in found for disk in each.disks)
    return Excluded(disks, frozenset(place for each in found for place in each.places))


def _named(path: str) -> Excluded | None:
    """None for what is no block device, or goes at this moment."""
    number = block_device_number(path)
    if number is None:
        return None
    sysfs = sysfs_directory(number)
    try:
        if (sysfs / "partition").exists():
            disk, place = disk_of_partition(number)
            span = Span(place.start, place.start + place.size)
            return Excluded(places=frozenset({(disk_identity(disk, place.disk_device), span)}))
        return Excluded(disks=frozenset({disk_identity(sysfs, device_node(sysfs))}))
    except (OSError, ValueError):
        return None
