"""The answers that are no values of the model."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ogagent.check.finding import Finding
from ogagent.model.job import Job, State


class Accepted(Struct, frozen=True):
    job_id: str


class Launched(Struct, frozen=True):
    op: Literal["launched"] = "launched"


class Reached(Struct, frozen=True, kw_only=True):
    """``sessions``: so many it was done to."""

    op: Literal["launched"] = "launched"
    sessions: int


class Ended(Struct, frozen=True):
    job_id: str
    state: State


class JobList(Struct, frozen=True):
    jobs: list[Job]


class Configuration(Struct, frozen=True):
    """The disks in OpenGnsys' own words."""

    cfg: list[dict[str, str]]


class Status(Struct, frozen=True):
    status: Literal["oglive", "busy", "linux"]
    loggedin: bool


class Health(Struct, frozen=True):
    ok: bool


class Capabilities(Struct, frozen=True):
    """``ok``: no problem was found, as ``ogagent check`` counts."""

    ok: bool
    checks: list[Finding]


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, with members of our own.

    ``error`` repeats ``detail`` because that is what ogCore shows; ``number`` is the one that OpenGnsys users know;
    ``instance`` ties the answer to the log.
    """

    type: str
    title: str
    status: int
    detail: str
    error: str
    code: str
    number: int
    hint: str = ""
    field: str = ""
    job_id: str = ""
    instance: str = ""
