"""One thing that the agent depends on, as it was found."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Something that some jobs need is not there, or will be missed later."""
    PROBLEM = "problem"
    """No job, or hardly one, can succeed."""


class Finding(Struct, frozen=True):
    """``what`` is what was looked at, ``said`` what was found; ``hint`` what to do about it, empty when all is well."""

    what: str
    state: Verdict
    said: str
    hint: str = ""


def ok(what: str, said: str) -> Finding:
    return Finding(what, Verdict.OK, said)


def warning(what: str, said: str, hint: str) -> Finding:
    return Finding(what, Verdict.WARNING, said, hint)


def problem(what: str, said: str, hint: str) -> Finding:
    return Finding(what, Verdict.PROBLEM, said, hint)
