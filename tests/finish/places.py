"""Machines as those who make a partition ready see them."""

from __future__ import annotations

from typing import Final

from ogagent.finish.place import Place, Volume
from ogagent.model.plan import Target

MIB: Final = 1 << 20


def target(number: int, identity: str = "disk-a", *, size: int = 64 * MIB) -> Target:
    device = f"/dev/sd{identity[-1]}"
    return Target(
        disk=1,
        partition=number,
        device=f"{device}{number}",
        disk_device=device,
        identity=identity,
        start=number * 100 * MIB,
        size=size,
        sector_size=512,
    )


ROOT: Final = Volume(target=target(2), filesystem="ext4", uuid="root-uuid", part_uuid="part-2")
SWAP: Final = Volume(target=target(3), filesystem="swap", uuid="swap-uuid", part_uuid="part-3")
ESP: Final = Volume(target=target(1), filesystem="vfat", uuid="C0DE-C0DE", part_uuid="part-1", esp=True)
OTHER: Final = Volume(target=target(5), filesystem="ext4", uuid="other-uuid", part_uuid="part-5", label="otros")


def place(*volumes: Volume, hostname: str = "pc1", uefi: bool = False) -> Place:
    return Place(volume=ROOT, table="gpt", volumes=volumes, uefi=uefi, hostname=hostname)
