"""The record that a partition carries from the wipe of its edges to their commit, see ``ogagent.disk.record``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from ogagent.disk.record import LEAST_PARTITION, RestoreRecord, disk_mark, encode
from ogagent.model.plan import Target

_KEPT: Final = ("nfn", "dsk", "par", "idi", "nci", "ifs", "ids")
"""What is told of the request: all that a final report needs, and what people look for."""


def record_of(target: Target, request: Mapping[str, str], *, job_id: str, started: str, image: str = "") -> bytes:
    """The page for a job on ``target``; empty for a partition that has no room for it.

    ``request`` is in ogCore's own shape, ``image`` the name of one that the request does not name. A restore by hand
    has no ``job_id``, and has ``started`` now.
    """
    if target.size < LEAST_PARTITION:
        return b""
    return encode(
        RestoreRecord(
            job_id=job_id,
            function=request.get("nfn", ""),
            request={name: request[name] for name in _KEPT if name in request},
            image=request.get("nci", "") or image,
            started=started or datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            disk=disk_mark(target.identity),
            size=target.size,
        )
    )
