"""Which number the disks of a PC have at each boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.disk.excluded import Excluded
from tests.boots import DIRECTORY, BootedMachine, computer

COMPUTERS = sorted(path.stem for path in DIRECTORY.glob("*.json"))


def test_the_computers_are_there() -> None:
    assert len(COMPUTERS) == 4
    assert all(computer(name).why for name in COMPUTERS)


@pytest.mark.parametrize("name", COMPUTERS)
async def test_the_numbers_of_disks(tmp_path: Path, name: str) -> None:
    for number, boot in enumerate(computer(name).boots):
        inventory = await BootedMachine(tmp_path / str(number), boot).inventory()
        assert [(disk.disk, disk.identity) for disk in inventory.disks] == list(enumerate(boot.disks, start=1))


async def test_a_disk_that_is_left_out_keeps_its_number(tmp_path: Path) -> None:
    boot = computer("two-nvme-that-swap").boots[0]
    for number, identity in enumerate(boot.disks):
        excluded = Excluded(disks=frozenset({identity}))
        inventory = await BootedMachine(tmp_path / str(number), boot, excluded).inventory()
        others = [(each, disk) for each, disk in enumerate(boot.disks, start=1) if disk != identity]
        assert [(disk.disk, disk.identity) for disk in inventory.disks] == others
