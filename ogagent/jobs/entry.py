"""What the journal knows of a job, of a partition, and of what ogCore believes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ogagent.jobs.steps import Step
from ogagent.model.job import Job
from ogagent.model.plan import Target

Place = tuple[str, int]
"""Identity of a disk and number of a partition."""
Told = tuple[int, str]
"""Number and identity of a disk."""


class Mark(Struct, frozen=True):
    """A partition whose restore has not finished, and where it was, in bytes; None where that was not noted.

    ``wiped``: its edges are known to have been, so that a file system which is there now was made since. ``whole``: it
    holds the image, and was not made ready.
    """

    start: int | None
    size: int | None
    wiped: bool
    whole: bool = False


class Ended(Struct, frozen=True, kw_only=True):
    """A job that has ended, and its final report while ogCore shall still take it. ``target`` as in ``accept``.

    ``finishing``: its partition holds the image, and had to be made ready.
    """

    job: Job
    target: Target | None
    report: dict[str, Any] | None
    finishing: bool = False


class Unended(Struct, frozen=True, kw_only=True):
    """A job that somebody who is no more has left running.

    ``target`` is None also when it cannot be read; ``note`` is what the work left for this moment when it began to
    commit, None before and after; ``seq`` and ``progress`` are those of the newest report that may have gone out.
    """

    job: Job
    target: Target | None
    step: Step
    note: bytes | None
    seq: int
    progress: int
