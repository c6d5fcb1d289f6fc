"""The rules that the reports of one job must keep, seen from ogCore's side."""

from __future__ import annotations

import re
from typing import Final

from simulator.ogcore.reports import SUCCEEDED, FinalReport, ProgressReport, Report

_DER: Final = re.compile(r"[0-9]{3}-\S.*", re.DOTALL)


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
    broken = []
    succeeded = report.res == SUCCEEDED
    if succeeded != (report.progress == 100):
        broken.append(f"res is {report.res!r} with progress {report.progress}")
    if succeeded and report.der:
        broken.append(f"res is {report.res!r} with der {report.der!r}")
    if not succeeded and not _DER.fullmatch(report.der):
        broken.append(f"der is {report.der!r}, not a number, a dash and a text")
    return broken
