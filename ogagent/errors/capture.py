"""A partition does not become an image."""

from __future__ import annotations

from ogagent.errors.base import AgentError


class CaptureError(AgentError):
    code = "capture-failed"
    number = 5


class ModelNotRead(CaptureError):
    """Some of its bytes cannot be read, or what its blocks mean: an image of it would have a hole."""

    code = "model-not-read"


class BeginningUnknown(ModelNotRead):
    """What a program says of its blocks is in no form that is known here: it has to write the image itself."""


class ModelNotClean(CaptureError):
    """Its file system was not left in order, so nobody knows for sure which of its blocks are in use."""

    code = "partition-in-use"
    number = 3
    status = 409


class ModelChanged(CaptureError):
    """Somebody has written to it while it was read."""

    code = "model-changed"
    number = 3


class RepositoryFull(CaptureError):
    code = "repository-full"
    number = 14
    status = 422


class ImageNotKept(CaptureError):
    """The repository does not hold what it was given."""

    code = "image-not-kept"
    number = 91


class ModelNotGrownBack(CaptureError):
    """Its file system was made smaller for the image, and still is."""

    code = "model-not-grown-back"
    number = 18


class CannotReduce(CaptureError):
    """A warning: what a partition holds is captured in its full size. It is as it was before."""

    code = "filesystem-not-reduced"
    number = 17
