"""The rules that the reports of one job must keep, seen from ogCore's side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from simulator.ogcore.reports import (
    SUCCEEDED,
    FinalReport,
    ProgressReport,
    Report,
    function_of,
    response_of,
)

_DER: Final = re.compile(r"[0-9]{3}-\S.*", re.DOTALL)
# What final reports have of their own: what comes back from the call, however it ended, and what was found out.
_ECHOED: Final[Mapping[str, tuple[str, ...]]] = {
    "RestaurarImagen": ("idi", "dsk", "par", "ifs"),
    "CrearImagen": ("idi", "dsk", "par", "cpt", "ipr"),
    "Configurar": ("dsk",),
    "InventarioSoftware": ("dsk", "par"),
    "IniciarSesion": ("dsk", "par"),
}
_FOUND: Final[Mapping[str, tuple[str, ...]]] = {
    "CrearImagen": ("image",),
    "InventarioHardware": ("hrd",),
    "InventarioSoftware": ("sft",),
    "EjecutarScript": ("out", "code"),
}


def broken_rules(
    report: Report, *, progress: ProgressReport | None, final: FinalReport | None, last_seq: int
) -> list[str]:
    """What is wrong with ``report``, given the newest ``progress``, the ``final`` one, and the highest ``seq``."""
    broken = []
    if final:
        kind = "a second final report" if isinstance(report, FinalReport) else "progress"
        broken.append(f"{kind} after the final report")
    if report.seq <= last_seq:
        broken.append(f"report {report.seq} came after report {last_seq}")
    if progress and report.progress < progress.progress and not final and not _interrupted(report):
        broken.append(f"progress went back from {progress.progress} to {report.progress}")
    return broken + (_of_final(report) if isinstance(report, FinalReport) else _of_progress(report))


def _interrupted(report: Report) -> bool:
    """From an agent whose memory may have gone with the power: it does not know how far it had come."""
    return isinstance(report, FinalReport) and report.der.startswith("093-")


def _of_progress(report: ProgressReport) -> list[str]:
    return ["progress is 100 before the final report"] if report.progress == 100 else []


def _of_final(report: FinalReport) -> list[str]:
    function = function_of(report.job_id)
    broken = []
    if report.nfn != response_of(function):
        broken.append(f"{report.nfn} ends the job {report.job_id}")
    succeeded = report.res == SUCCEEDED
    wanted = (*_ECHOED.get(function, ()), *(_FOUND.get(function, ()) if succeeded else ()))
    broken += [f"{report.nfn} has no {name}" for name in wanted if getattr(report, name) is None]
    if succeeded != (report.progress == 100):
        broken.append(f"res is {report.res!r} with progress {report.progress}")
    if succeeded and report.der:
        broken.append(f"res is {report.res!r} with der {report.der!r}")
    if not succeeded and not _DER.fullmatch(report.der):
        broken.append(f"der is {report.der!r}, not a number, a dash and a text")
    return broken
