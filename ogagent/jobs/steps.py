"""How far a job has come, as far as what it changes and the reports are concerned: which step may follow which."""

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


_NEXT: Final[Mapping[Step, frozenset[Step]]] = {
    Step.ACCEPTED: frozenset({Step.TOUCHED, Step.SUCCEEDED, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    Step.TOUCHED: frozenset({Step.COMMITTING, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    # A cancel waits for the end of the commit. SUCCEEDED: it was done, and COMMITTED could not be written.
    Step.COMMITTING: frozenset({Step.COMMITTED, Step.SUCCEEDED, Step.FAILED, Step.INTERRUPTED}),
    Step.COMMITTED: frozenset({Step.SUCCEEDED}),
    Step.SUCCEEDED: frozenset(),
    Step.FAILED: frozenset(),
    Step.CANCELLED: frozenset(),
    Step.INTERRUPTED: frozenset(),
}


def may_follow(now: Step, then: Step, *, has_target: bool) -> bool:
    """What has a partition to overwrite is not done before it has; other work may leave nothing half done."""
    return then in _NEXT[now] and not (has_target and (now, then) == (Step.ACCEPTED, Step.SUCCEEDED))


class IllegalStep(Exception):
    """A bug: the books would no longer tell what happened."""
