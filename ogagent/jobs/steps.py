"""How far a job has come, as far as what it changes and the reports are concerned: which step may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Step(StrEnum):
    ACCEPTED = "accepted"
    TOUCHED = "touched"
    COMMITTING = "committing"
    FINISHING = "finishing"
    COMMITTED = "committed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


_NEXT: Final[Mapping[Step, frozenset[Step]]] = {
    Step.ACCEPTED: frozenset({Step.TOUCHED, Step.SUCCEEDED, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    Step.TOUCHED: frozenset({Step.COMMITTING, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    # SUCCEEDED: it was done, and COMMITTED could not be written.
    Step.COMMITTING: frozenset(
        {Step.FINISHING, Step.COMMITTED, Step.SUCCEEDED, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}
    ),
    Step.FINISHING: frozenset({Step.COMMITTED, Step.SUCCEEDED, Step.FAILED, Step.CANCELLED, Step.INTERRUPTED}),
    Step.COMMITTED: frozenset({Step.SUCCEEDED}),
    Step.SUCCEEDED: frozenset(),
    Step.FAILED: frozenset(),
    Step.CANCELLED: frozenset(),
    Step.INTERRUPTED: frozenset(),
}


_NOT_WITH_TARGET: Final = ((Step.ACCEPTED, Step.SUCCEEDED), (Step.COMMITTING, Step.CANCELLED))


def may_follow(now: Step, then: Step, *, has_target: bool) -> bool:
    """What has a partition to overwrite is not done before it has, and a cancel waits for the end of its commit; other
    work may leave nothing half done, or undo what it has.
    """
    return then in _NEXT[now] and not (has_target and (now, then) in _NOT_WITH_TARGET)


class IllegalStep(Exception):
    """A bug: the books would no longer tell what happened."""
