"""What becomes of the systems that sleep elsewhere on the machine while a partition, or a table of them, is written.

Linux is not woken again, which costs it no more than a power cut would. Windows sleeps in a file, which nobody can take
away without mounting its partition: people are told.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final, Protocol

from ogagent.disk.codes import may_be_a_cache
from ogagent.disk.hibernation import discard_image
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError, SystemHibernated
from ogagent.model.disk import Inventory, Partition
from ogagent.model.filesystem import SUSPENDED
from ogagent.model.plan import Target, bound
from ogagent.model.progress import JobProgress

_log: Final = logging.getLogger(__name__)


class Sleepers(Protocol):
    """Those beside what a plan writes."""

    @property
    def suspended(self) -> tuple[Target, ...]:
        """Swap space in which a Linux sleeps that must not wake again."""

    @property
    def sleeping(self) -> tuple[Target, ...]:
        """Where a Windows sleeps of which people must be told."""


def hibernated_beside(
    gone: Collection[Partition], inventory: Inventory
) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """Where a Linux sleeps, and where a Windows does, on this machine. What sleeps on what is ``gone`` goes with it."""
    others = [
        (bound(disk, part), part.filesystem == SUSPENDED.blkid)
        for disk in inventory.disks
        for part in disk.partitions
        if part.hibernated and part not in gone and not part.cache and not may_be_a_cache(disk, part)
    ]
    return tuple(place for place, linux in others if linux), tuple(place for place, linux in others if not linux)


def discard_images(sleepers: Sleepers, machine: Machine, progress: JobProgress) -> None:
    """The last thing before the first write, for then nothing keeps it from coming. Blocking.

    Raises what the machine does when a sleeping Linux cannot be kept from waking.
    """
    for place in sleepers.suspended:
        try:
            with machine.open_target(place) as device:
                discarded = discard_image(device)
        except AgentError as error:
            raise type(error)(
                f"the Linux that is hibernated on {_where(place)} would overwrite what is written: {error.message}",
                hint=error.hint,
            ) from error
        if discarded:
            _warn(_linux(place), progress)


def warn_of_windows(sleepers: Sleepers, progress: JobProgress) -> None:
    for place in sleepers.sleeping:
        _warn(_windows(place), progress)


def warnings_of(sleepers: Sleepers) -> tuple[str, ...]:
    """What the job will say of them."""
    sleeping = (*map(_linux, sleepers.suspended), *map(_windows, sleepers.sleeping))
    return tuple(error.der for error in sleeping)


def _warn(error: SystemHibernated, progress: JobProgress) -> None:
    if error.der not in progress.warnings:
        _log.warning("%s", error.message)
        progress.warnings.append(error.der)


def _linux(place: Target) -> SystemHibernated:
    return SystemHibernated(
        f"the Linux that is hibernated on {_where(place)} does not wake again but starts anew: it would have "
        "overwritten what was written"
    )


def _windows(place: Target) -> SystemHibernated:
    return SystemHibernated(
        f"Windows is hibernated on {_where(place)}, maybe by fast start-up, and may damage what was written when it "
        "wakes: start it and shut it down for good (shutdown /s /t 0), or restore its partition as well"
    )


def _where(place: Target) -> str:
    return f"{place.name} ({place.device})" if place.disk else place.name
