"""Disks with odd tables: what a plan accepts is written, and not a byte outside of it; all else is refused before."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.machine import Machine
from ogagent.disk.real import RealMachine
from ogagent.errors import Refusal
from ogagent.model.disk import Inventory
from ogagent.restore.job import restore
from ogagent.restore.plan import Rules, plan_restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import restore_request
from simulator.machine.file_machine import FileMachine
from tests.block_devices import block_devices
from tests.faults.bench import LOOPBACK, WELL, Matrix
from tests.faults.images import SIZE, image
from tests.faults.odd_disks import ODD_DISKS, OddDisk, make

PIECE: Final = 512
CODES: Final = {
    *("disk-not-partitioned", "too-few-partitions", "partition-not-found"),
    *("partition-overlaps", "target-is-cache", "target-is-system"),
}


@contextmanager
def file_machine(path: Path) -> Iterator[Machine]:
    yield FileMachine([path])


@contextmanager
def loop_machine(path: Path) -> Iterator[Machine]:
    """The kernel is told of no partition: it would refuse many of these."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    attach = ["losetup", "--find", "--show", str(path)]
    device = subprocess.run(attach, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield RealMachine([device], block_devices(device))
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


MACHINES: Final = {"file": file_machine, "loop": loop_machine}


@pytest.fixture(scope="module")
def tried(figures: Callable[[str], None]) -> Iterator[Counter[str]]:
    """How the targets ended, and a line about them at the end."""
    count: Counter[str] = Counter()
    yield count
    endings = ", ".join(f"{number} {ending}" for ending, number in sorted(count.items()))
    figures(f"odd tables: {len(ODD_DISKS)} disks, {count.total()} targets: {endings}")


@pytest.mark.parametrize("name", ODD_DISKS)
@pytest.mark.parametrize("kind", MACHINES)
async def test_an_odd_table(matrix: Matrix, tried: Counter[str], kind: str, name: str) -> None:
    odd = ODD_DISKS[name]
    with matrix.folder() as folder:
        disk, path = folder / "odd", folder / "x.img"
        path.write_bytes(image("crc32", "zstd"))
        make(disk, odd)
        before = disk.read_bytes()
        with MACHINES[kind](disk) as machine:
            inventory = await machine.inventory()
            _explain(inventory, odd)
            for number in _numbers(inventory, odd):
                with matrix.cell("tables", f"{kind} {name} {number}"):
                    refusal = await _try(machine, inventory, path, number)
                    after = disk.read_bytes()
                    _check(odd, number, refusal, _changed(before, after))
                    before = after
                    tried[refusal.code if refusal else "written"] += 1
                    matrix.endings[refusal.number if refusal else WELL] += 1


def _numbers(inventory: Inventory, odd: OddDisk) -> list[int]:
    """All that there are, all that there should be, and one that is not there."""
    return sorted({*odd.sound, 99, *(part.partition for disk in inventory.disks for part in disk.partitions)})


def _explain(inventory: Inventory, odd: OddDisk) -> None:
    """Nothing is wrong with what is sound; a disk that is not partitioned for us says what it is."""
    (disk,) = inventory.disks
    assert disk.table or disk.problem
    assert [part.problem for part in disk.partitions if part.partition in odd.sound] == ["" for _ in odd.sound]


async def _try(machine: Machine, inventory: Inventory, path: Path, number: int) -> Refusal | None:
    """None when the image was restored."""
    (disk,) = inventory.disks
    call = {
        "dsk": disk.disk,
        "par": str(number),
        "idi": "1",
        "nci": "x",
        "ipr": "127.0.0.1",
        "method": "unicast-direct",
    }
    rules = Rules(repository_url=path.as_uri(), repository_networks=[ip_network("127.0.0.0/8")], cache_required=False)
    try:
        plan = plan_restore(restore_request(call), inventory, rules)
    except Refusal as refusal:
        return refusal
    await restore(plan, machine, LOOPBACK, Progress())
    return None


def _check(odd: OddDisk, number: int, refusal: Refusal | None, pieces: list[int]) -> None:
    if number not in odd.sound:
        assert refusal is not None, "accepted, though its bytes are not its own"
        assert refusal.code in CODES
        assert "partition it first" not in refusal.hint
        assert not pieces, "refused, but something was written"
        return
    assert refusal is None, f"{refusal}, though nothing is wrong with it"
    first, end = odd.sound[number]
    assert first <= min(pieces) <= max(pieces) < end, "bytes outside have changed"
    assert max(pieces) - min(pieces) > SIZE - 2 * PIECE


def _changed(before: bytes, after: bytes) -> list[int]:
    """Where the pieces are that are others now. As small as a sector, so that the neighbour's would be seen."""
    assert len(before) == len(after)
    if before == after:
        return []
    places = range(0, len(before), PIECE)
    return [place for place in places if before[place : place + PIECE] != after[place : place + PIECE]]
