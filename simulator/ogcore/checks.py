"""What the agent of a client says of all that it depends on, as consoles read it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class FindingView(Struct, frozen=True, kw_only=True):
    """``hint``: what to do about it."""

    what: str
    state: Literal["ok", "warning", "problem"]
    said: str
    hint: str = ""


class CheckView(Struct, frozen=True, kw_only=True):
    """``ok``: none of the ``checks`` is a problem."""

    ok: bool
    checks: tuple[FindingView, ...]
