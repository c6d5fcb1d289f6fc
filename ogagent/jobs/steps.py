"""How far a job has come, as far as the disk and the reports are concerned: which step may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Step(StrEnum):
    ACCEPTED = "accepted"
    TOUCHED = "touched"
    COMMITTING = "committing"
    COMMITTED = "committed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


NEXT: Final[Mapping[Step, frozenset[Step]]] = {
    Step.ACCEPTED: frozenset({Step.TOUCHED, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    Step.TOUCHED: frozenset({Step.COMMITTING, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    # A cancel waits for the end of the commit. SUCCEEDED: the disk holds the image, and COMMITTED could not be written.
    Step.COMMITTING: frozenset({Step.COMMITTED, Step.SUCCEEDED, Step.FAILED, Step.INTERRUPTED}),
    Step.COMMITTED: frozenset({Step.SUCCEEDED}),
    Step.SUCCEEDED: frozenset(),
    Step.FAILED: frozenset(),
    Step.CANCELLED: frozenset(),
    Step.INTERRUPTED: frozenset(),
}


class IllegalStep(Exception):
    """A bug: the books would no longer tell what happened."""
