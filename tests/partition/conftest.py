"""Each point at which the power goes, or an agent is killed, is a cell of the fault matrix."""

from __future__ import annotations

from tests.faults.conftest import matrix

__all__ = ("matrix",)
