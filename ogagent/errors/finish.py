"""The disk holds the image, and cannot be made ready."""

from __future__ import annotations

from ogagent.errors.base import AgentError


class FinishError(AgentError):
    code = "not-ready"
    number = 94


class NotGrown(FinishError):
    """The file system does not fill its partition."""

    code = "not-grown"
    number = 18


class NotReady(FinishError):
    """A step could not be done, or does not hold."""

    code = "not-ready"
