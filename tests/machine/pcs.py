"""The PCs that are deployed to: each has its disks laid out in another way than the model."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.machine import disks
from tests.machine.disks import Content, Layout, Part
from tests.machine.models import BOOKWORM, TRIXIE, Model
from tests.machine.vm import Bus, Drive, Firmware, Hardware


class DiskOf(Struct, frozen=True):
    serial: str
    bus: Bus
    layout: Layout


class Target(Struct, frozen=True):
    """``why``: what is other than at the model. The system comes to the first disk that has a place for it."""

    name: str
    why: str
    model: Model
    mac: str
    disks: tuple[DiskOf, ...]

    @property
    def system(self) -> tuple[DiskOf, Part]:
        return next((disk, root) for disk in self.disks if (root := disk.layout.one("root")) is not None)

    def has(self, content: Content) -> bool:
        return any(disk.layout.one(content) for disk in self.disks)

    def drives(self, folder: Path) -> tuple[Drive, ...]:
        """Made when they are asked for the first time."""
        drives = tuple(Drive(folder / f"{disk.serial}.img", disk.serial, disk.bus) for disk in self.disks)
        for drive, disk in zip(drives, self.disks, strict=True):
            if not drive.file.exists():
                disks.make_disk(drive.file, disk.layout)
                _refuse_to_boot(drive.file)
        return drives

    def hardware(self, folder: Path, *more: Drive, tap: str, network_first: bool = False) -> Hardware:
        folder.mkdir(exist_ok=True)
        drives = (*self.drives(folder), *more)
        return Hardware(
            name=self.name, folder=folder, firmware=self.firmware, drives=drives, mac=self.mac, tap=tap,
            network_first=network_first,
        )  # fmt: skip

    @property
    def firmware(self) -> Firmware:
        return self.model.firmware


def _refuse_to_boot(file: Path) -> None:
    """A BIOS that finds no boot loader says so then: ``int 18h``. It would carry out zeros for ever."""
    with file.open("r+b") as disk:
        disk.write(b"\xcd\x18")


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


_ONE: Final = Target(
    "pc1",
    "GPT instead of MSDOS, partition 3, larger, swap with another UUID, no data",
    BOOKWORM,
    "52:54:00:0a:00:01",
    (
        DiskOf(
            "one",
            "virtio",
            Layout("gpt", 4096, (Part(1, "bios-boot", 1), Part(2, "swap", 300, _uuid("swap.pc1")), Part(3, "root", 0))),
        ),
    ),
)
_TWO: Final = Target(
    "pc2",
    "NVMe instead of virtio, partition 2, larger, swap before it with another UUID, no data",
    BOOKWORM,
    "52:54:00:0a:00:02",
    (DiskOf("two", "nvme", Layout("dos", 3072, (Part(1, "swap", 200, _uuid("swap.pc2")), Part(2, "root", 0)))),),
)
_THREE: Final = Target(
    "pc3",
    "NVMe instead of virtio, another ESP, partition 3 instead of 2, larger, swap with another UUID",
    TRIXIE,
    "52:54:00:0a:00:03",
    (
        DiskOf(
            "three",
            "nvme",
            Layout(
                "gpt",
                4096,
                (Part(1, "esp", 100, "C3C3C3C3"), Part(2, "swap", 300, _uuid("swap.pc3")), Part(3, "root", 0)),
            ),
        ),
    ),
)
_FOUR: Final = Target(
    "pc4",
    "on the second disk, partition 5; the ESP is on the first one; no swap",
    TRIXIE,
    "52:54:00:0a:00:04",
    (
        DiskOf(
            "four",
            "virtio",
            Layout("gpt", 512, (Part(1, "data", 200, _uuid("data.pc4")), Part(2, "esp", 100, "C4C4C4C4"))),
        ),
        DiskOf("five", "virtio", Layout("gpt", 3072, (Part(1, "data", 100, _uuid("other.pc4")), Part(5, "root", 0)))),
    ),
)

CLASSROOMS: Final[dict[str, tuple[Target, ...]]] = {"bios": (_ONE, _TWO), "uefi": (_THREE, _FOUR)}
