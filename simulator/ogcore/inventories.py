"""What agents have told of hardware and software, read as OpenGnsys reads it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from simulator.ogcore.reports import SUCCEEDED, FinalReport
from simulator.ogcore.views import ComponentView, HardwareView, PackageView, SoftwareView

_MOST_SYSTEMS: Final = 64
"""Of one client; beyond that the one that was told first makes room."""


class Inventories(Struct):
    """Those of one client. ``software`` by place, ``1/2``."""

    hardware: HardwareView = HardwareView()
    software: dict[str, SoftwareView] = field(default_factory=dict)

    def receive(self, report: FinalReport, when: str) -> bool:
        """Whether it was news."""
        if report.res != SUCCEEDED:
            return False
        if report.hrd is not None:
            self.hardware = HardwareView(told=when, components=components_of(report.hrd))
            return True
        disk, partition = report.dsk or "", report.par or ""
        if report.sft is None or not disk.isdecimal() or not partition.isdecimal():
            return False
        self._keep(software_of(report.sft, int(disk), int(partition), when))
        return True

    def _keep(self, software: SoftwareView) -> None:
        place = f"{software.disk}/{software.partition}"
        self.software.pop(place, None)
        self.software[place] = software
        if len(self.software) > _MOST_SYSTEMS:
            del self.software[next(iter(self.software))]


def components_of(text: str) -> tuple[ComponentView, ...]:
    """``hrd``: lines ``code=text``."""
    lines = (line.partition("=") for line in text.splitlines())
    return tuple(ComponentView(code=code, text=what.strip()) for code, _, what in lines if what.strip())


def software_of(text: str, disk: int, partition: int, told: str) -> SoftwareView:
    """``sft``: the system, then lines ``name version``. Either may hold blanks, a version has a digit in it."""
    system, *lines = text.split("\n")
    packages = tuple(_package(line.strip()) for line in lines if line.strip())
    return SoftwareView(disk=disk, partition=partition, told=told, system=system.strip(), packages=packages)


def _package(line: str) -> PackageView:
    name, _, version = line.rpartition(" ")
    if name and any(character.isdecimal() for character in version):
        return PackageView(name=name, version=version)
    return PackageView(name=line)
