"""What becomes of the systems that sleep elsewhere on the machine while a partition is restored.

Linux is not woken again, which costs it no more than a power cut would. Windows sleeps in a file, which nobody can take
away without mounting its partition: people are told.
"""

from __future__ import annotations

import logging
from typing import Final

from ogagent.disk.hibernation import discard_image
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError, SystemHibernated
from ogagent.model.plan import Target
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan

_log: Final = logging.getLogger(__name__)


def discard_images(plan: RestorePlan, machine: Machine, progress: Progress) -> None:
    """The last thing before the first write, for then nothing keeps it from coming. Blocking.

    Raises what the machine does when a sleeping Linux cannot be kept from waking.
    """
    for place in plan.suspended:
        try:
            with machine.open_target(place) as device:
                discarded = discard_image(device)
        except AgentError as error:
            raise type(error)(
                f"the Linux that is hibernated on {_where(place)} would overwrite the image: {error.message}",
                hint=error.hint,
            ) from error
        if discarded:
            _warn(_linux(place), progress)


def warn_of_windows(plan: RestorePlan, progress: Progress) -> None:
    for place in plan.sleeping:
        _warn(_windows(place), progress)


def warnings_of(plan: RestorePlan) -> tuple[str, ...]:
    """What the job will say."""
    sleeping = (*map(_linux, plan.suspended), *map(_windows, plan.sleeping))
    return (*plan.remarks, *(error.der for error in sleeping))


def _warn(error: SystemHibernated, progress: Progress) -> None:
    if error.der not in progress.warnings:
        _log.warning("%s", error.message)
        progress.warnings.append(error.der)


def _linux(place: Target) -> SystemHibernated:
    return SystemHibernated(
        f"the Linux that is hibernated on {_where(place)} does not wake again but starts anew: it would have "
        "overwritten the image"
    )


def _windows(place: Target) -> SystemHibernated:
    return SystemHibernated(
        f"Windows is hibernated on {_where(place)}, maybe by fast start-up, and may damage what was restored when it "
        "wakes: start it and shut it down for good (shutdown /s /t 0), or restore its partition as well"
    )


def _where(place: Target) -> str:
    return f"{place.name} ({place.device})" if place.disk else place.name
