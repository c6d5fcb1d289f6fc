"""What sleeps beside the partition: who is kept from waking, and who is only told of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.disk.machine import Device
from ogagent.disk.sleepers import discard_images, warn_of_windows, warnings_of
from ogagent.errors import AgentError, DeviceBusy, DiskChanged
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.restore.plan import plan_restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, restore_request
from tests.restore.one_file import OneFile, target_of
from tests.restore.test_plan import CACHE, CALL, DISK, RULES, part, plan, with_partitions

MIB: Final = 1 << 20
LINUX: Final = part(3, filesystem="swsuspend", hibernated=True)
WINDOWS: Final = part(3, filesystem="ntfs", hibernated=True)


def numbers(plan: RestorePlan) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    linux, windows = ([(place.disk, place.partition) for place in places] for places in (plan.suspended, plan.sleeping))
    return linux, windows


def test_on_the_same_disk_and_on_another() -> None:
    second = replace(
        DISK, disk=2, device="/dev/sdb", identity="wwn-2", partitions=(part(1, filesystem="ext4"), WINDOWS)
    )
    inventory = Inventory(disks=(with_partitions(part(2), LINUX, CACHE), second))
    planned = plan_restore(restore_request(CALL), inventory, RULES)
    assert numbers(planned) == ([(1, 3)], [(2, 3)])
    assert planned.suspended[0].identity == DISK.identity
    assert planned.sleeping[0].identity == "wwn-2"


def test_what_sleeps_on_the_target_goes_with_it() -> None:
    for asleep in (LINUX, WINDOWS):
        assert numbers(plan(with_partitions(replace(asleep, partition=2), part(3), CACHE))) == ([], [])


def test_a_cache_is_left_alone() -> None:
    """Whatever it is taken for by its first bytes."""
    cache, second = replace(CACHE, filesystem="swsuspend", hibernated=True), replace(LINUX, label="CACHE")
    assert numbers(plan(with_partitions(part(2), second, cache))) == ([], [])


def test_what_people_are_told_beforehand() -> None:
    told = warnings_of(plan(with_partitions(part(2), LINUX, replace(WINDOWS, partition=5, device="/dev/sda5"), CACHE)))
    assert told == (
        "032-the Linux that is hibernated on partition 3 of disk 1 (/dev/sda3) does not wake again but starts anew: it "
        "would have overwritten what was written",
        "032-Windows is hibernated on partition 5 of disk 1 (/dev/sda5), maybe by fast start-up, and may damage what "
        "was written when it wakes: start it and shut it down for good (shutdown /s /t 0), or restore its partition "
        "as well",
    )


# --- when it comes to it ------------------------------------------------------------------------------------------


@pytest.fixture
def swap(tmp_path: Path) -> Path:
    path = tmp_path / "swap"
    path.write_bytes(bytes(4086) + b"S1SUSPEND\0" + bytes(MIB))
    return path


def planned(swap: Path, *, disk: int = 1) -> RestorePlan:
    return replace(plan(), suspended=(replace(target_of(swap), disk=disk, partition=disk),))


def test_it_is_told_once(swap: Path) -> None:
    progress, it = Progress(), planned(swap)
    for _ in range(2):
        discard_images(it, OneFile(), progress)
    assert progress.warnings == list(warnings_of(it))
    assert swap.read_bytes()[4086:4096] == b"SWAPSPACE2"


def test_it_has_gone_meanwhile(swap: Path) -> None:
    swap.write_bytes(bytes(MIB))
    progress = Progress()
    discard_images(planned(swap), OneFile(), progress)
    assert progress.warnings == []


def test_by_hand_it_is_told_by_its_path(swap: Path) -> None:
    progress = Progress()
    discard_images(planned(swap, disk=0), OneFile(), progress)
    assert progress.warnings[0].startswith(f"032-the Linux that is hibernated on {swap} does not wake again")


class Refusing(OneFile):
    def __init__(self, error: AgentError) -> None:
        self._error = error

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        with super().open_target(target):
            raise self._error
        yield


@pytest.mark.parametrize("kind", [DeviceBusy, DiskChanged])
def test_the_cause_is_told_as_what_it_is(kind: type[AgentError], swap: Path) -> None:
    progress = Progress()
    with pytest.raises(kind) as failure:
        discard_images(planned(swap), Refusing(kind("it is in use", hint="close it")), progress)
    assert failure.value.message == (
        f"the Linux that is hibernated on partition 1 of disk 1 ({swap}) would overwrite what is written: it is in use"
    )
    assert failure.value.hint == "close it"
    assert progress.warnings == []


def test_windows_is_told_of_at_once() -> None:
    progress, it = Progress(), plan(with_partitions(part(2), WINDOWS, CACHE))
    for _ in range(2):
        warn_of_windows(it, progress)
    assert progress.warnings == list(warnings_of(it))
