"""What the simulator cannot do, told to a person."""

from __future__ import annotations


class LabError(Exception):
    """``hint`` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ToolMissing(LabError):
    """A program is not installed."""


class ToolFailed(LabError):
    """A program failed, or took too long."""
