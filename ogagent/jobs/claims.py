"""Who holds what: a job its disks, or the whole machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ogagent.errors import DiskBusy, MachineBusy
from ogagent.jobs.work import Claims

_HINT: Final = "wait for its end, or cancel it with KillJob"


def refuse_claimed(wanted: Claims, held: Iterable[tuple[str, Claims]]) -> None:
    """``held`` by job id. Raises DiskBusy or MachineBusy, which name the job.

    By identity: a disk that was plugged in meanwhile may have given all the others new numbers.
    """
    for job_id, claims in held:
        if claims.machine and (wanted.machine or wanted.disks):
            raise MachineBusy(f"the machine is taken by {job_id}", job_id=job_id, hint=_HINT)
        if wanted.machine and claims.disks:
            number = min(claims.disks.values())
            raise MachineBusy(f"disk {number} of the machine is taken by {job_id}", job_id=job_id, hint=_HINT)
        if shared := wanted.disks.keys() & claims.disks.keys():
            number = min(wanted.disks[identity] for identity in shared)
            raise DiskBusy(f"disk {number} is taken by {job_id}", job_id=job_id, hint=_HINT)
