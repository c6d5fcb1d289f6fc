"""What ogCore is told of a job, and of the disks in OpenGnsys' own words."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.filesystem import by_blkid
from ogagent.model.job import Job, State
from ogagent.model.units import KIB

RESPONSE: Final = "RESPUESTA_RestaurarImagen"
ECHOED: Final = ("ids", "idi", "dsk", "par", "ifs")
"""Members of the request that come back in the final report."""
SUCCESS: Final = "1"
FAILURE: Final = "2"
_EVENTS: Final = uuid.UUID("0e5c2f0a-6d1b-4d0e-9b0a-5a8f1a0c7d93")
_TABLE_CODES: Final = {"msdos": "1", "gpt": "2", None: "0"}


def progress_report(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "nfn": job.function,
        "ids": job.request["ids"],
        "progress": job.progress,
        "phase": job.phase,
        "bytes": msgspec.to_builtins(job.bytes),
        "rate": job.rate,
        "eta_s": job.eta_s,
    }


def final_report(job: Job, inventory: Inventory) -> dict[str, Any]:
    """The one report that ends a job. The sender adds ``seq``, ``ip`` and ``mac``.

    ``event_id`` follows from the job, so that even an agent that could not write down what it sent repeats itself.
    """
    echoed = {name: job.request.get(name, "") for name in ECHOED}
    succeeded = job.state is State.SUCCEEDED
    return {
        "job_id": job.job_id,
        "nfn": RESPONSE,
        **echoed,
        "res": SUCCESS if succeeded else FAILURE,
        "der": "" if succeeded or job.error is None else job.error.der,
        "cfg": configuration(inventory),
        "progress": job.progress,
        "event_id": str(uuid.uuid5(_EVENTS, f"{job.job_id} {job.created}")),
    }


def configuration(inventory: Inventory) -> list[dict[str, str]]:
    """The inventory as ``cfg`` rows: strings, ``tam`` in KiB, row ``par`` ``"0"`` for the disk itself."""
    rows = []
    for disk in inventory.disks:
        rows.append(_disk_row(disk))
        rows.extend(_partition_row(disk, partition) for partition in disk.partitions)
    return rows


def _disk_row(disk: Disk) -> dict[str, str]:
    return _row(disk.disk, 0, _TABLE_CODES[disk.table], "", "", disk.size, 0)


def _partition_row(disk: Disk, part: Partition) -> dict[str, str]:
    return _row(disk.disk, part.partition, part.code, _filesystem(part), part.os, part.size, part.used or 0)


def _row(disk: int, par: int, cpt: str, fsi: str, soi: str, size: int, used: int) -> dict[str, str]:
    numbers = {"disk": str(disk), "par": str(par), "tam": str(size // KIB), "uso": str(used)}
    return {**numbers, "cpt": cpt, "fsi": fsi, "soi": soi}


def _filesystem(part: Partition) -> str:
    if part.incomplete:
        return "INCOMPLETE"
    if part.cache:
        return "CACHE"
    known = by_blkid(part.filesystem)
    return known.name if known else part.filesystem.upper() or "EMPTY"
