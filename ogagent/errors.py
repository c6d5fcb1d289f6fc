"""Everything that can go wrong, as one tree of values.

::

    AgentError
    ├── SettingsError                  the configuration cannot be used; nothing starts
    ├── Refusal                        a call is turned down; nothing was touched
    │   ├── BadCall                    the call itself is wrong: MalformedJson, MissingField, InvalidField, …
    │   ├── AccessDenied               CredentialMissing, CredentialWrong, CallerNotAllowed, TooManyRequests
    │   ├── NotFound                   UnknownPath, DiskNotFound, PartitionNotFound, JobNotFound
    │   ├── InTheWay                   DiskBusy, PartitionInUse, TargetIsCache, TargetIsSystem, JobFinished
    │   ├── Impossible                 DiskNotPartitioned, TooFewPartitions, CacheMissing, …
    │   └── Stopping
    ├── RestoreError                   an accepted job fails
    │   ├── SourceError                ImageNotFound, ImageLocked, RepositoryUnreachable, ImageChanged
    │   ├── ImageError                 UnknownImage, ImageCorrupt, ImageTooLarge, FilesystemMismatch,
    │   │                              SignatureRefused
    │   └── DeviceError                WriteFailed, ReadBackDiffers, DiskChanged, DeviceBusy
    ├── Interrupted                    the agent died while the job ran
    ├── ToolMissing, ToolFailed        a program is not installed, or failed, or gave an answer that cannot be read
    └── InternalError                  a bug

``code`` is for programs, ``number`` for people who know OpenGnsys (0 where none applies), the message names the thing,
``hint`` the next step.
"""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    code: ClassVar[str] = "internal"
    number: ClassVar[int] = 40

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def der(self) -> str:
        """The error as OpenGnsys reports it: number, dash, text (``030-The image needs …``)."""
        return f"{self.number:03d}-{self.message}"


class SettingsError(AgentError):
    code = "settings"
    number = 1


# --- refusals: a call is turned down, nothing was touched ---------------------------------------------------------


class Refusal(AgentError):
    """``field`` names the member of the request, ``job_id`` the job, that stands in the way."""

    code = "refused"
    number = 1

    def __init__(self, message: str, *, hint: str = "", field: str = "", job_id: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.job_id = job_id


class BadCall(Refusal):
    code = "invalid-field"


class MalformedJson(BadCall):
    code = "malformed-json"


class MissingField(BadCall):
    code = "missing-field"


class InvalidField(BadCall):
    code = "invalid-field"


class NotJson(BadCall):
    code = "not-json"


class BodyTooLarge(BadCall):
    code = "body-too-large"


class MethodNotAllowed(BadCall):
    code = "method-not-allowed"


class AccessDenied(Refusal):
    code = "caller-not-allowed"


class CredentialMissing(AccessDenied):
    code = "credential-missing"


class CredentialWrong(AccessDenied):
    code = "credential-wrong"


class CallerNotAllowed(AccessDenied):
    code = "caller-not-allowed"


class TooManyRequests(AccessDenied):
    code = "too-many-requests"


class NotFound(Refusal):
    code = "unknown-path"
    number = 2


class UnknownPath(NotFound):
    code = "unknown-path"


class DiskNotFound(NotFound):
    code = "disk-not-found"


class PartitionNotFound(NotFound):
    code = "partition-not-found"


class JobNotFound(NotFound):
    code = "job-not-found"


class InTheWay(Refusal):
    code = "disk-busy"


class DiskBusy(InTheWay):
    code = "disk-busy"
    number = 4


class PartitionInUse(InTheWay):
    code = "partition-in-use"
    number = 3


class TargetIsCache(InTheWay):
    code = "target-is-cache"
    number = 3


class TargetIsSystem(InTheWay):
    code = "target-is-system"
    number = 3


class JobFinished(InTheWay):
    code = "job-finished"


class Impossible(Refusal):
    code = "disk-not-partitioned"


class DiskNotPartitioned(Impossible):
    code = "disk-not-partitioned"
    number = 2


class TooFewPartitions(Impossible):
    code = "too-few-partitions"
    number = 2


class CacheMissing(Impossible):
    code = "cache-missing"
    number = 15


class MethodNotSupported(Impossible):
    code = "method-not-supported"


class RepositoryNotAllowed(Impossible):
    code = "repository-not-allowed"
    number = 23


class Stopping(Refusal):
    code = "stopping"
    number = 4


# --- a job that was accepted fails --------------------------------------------------------------------------------


class RestoreError(AgentError):
    code = "restore-failed"
    number = 5


class SourceError(RestoreError):
    code = "repository-unreachable"
    number = 23


class RepositoryUnreachable(SourceError):
    """Also for a repository that answers, but refuses (401, 403) or fails to speak HTTP properly."""


class ImageNotFound(SourceError):
    code = "image-not-found"
    number = 2


class ImageLocked(SourceError):
    code = "image-locked"
    number = 4


class ImageChanged(SourceError):
    """The repository holds another file now than the one the job began with."""

    code = "image-changed"
    number = 33


class ImageError(RestoreError):
    code = "image-corrupt"
    number = 33


class UnknownImage(ImageError):
    code = "image-unknown-format"


class ImageCorrupt(ImageError):
    code = "image-corrupt"


class ImageTooLarge(ImageError):
    code = "image-too-large"
    number = 30


class FilesystemMismatch(ImageError):
    code = "filesystem-mismatch"
    number = 20


class SignatureRefused(ImageError):
    code = "signature-refused"
    number = 90


class DeviceError(RestoreError):
    code = "write-failed"
    number = 14


class WriteFailed(DeviceError):
    code = "write-failed"


class ReadBackDiffers(DeviceError):
    code = "read-back-differs"
    number = 91


class DiskChanged(DeviceError):
    code = "disk-changed"
    number = 92


class DeviceBusy(DeviceError):
    """Somebody else holds the partition now; it was free when the job was accepted."""

    code = "partition-in-use"
    number = 3


class Interrupted(AgentError):
    code = "interrupted"
    number = 93


class ToolMissing(AgentError):
    code = "tool-missing"


class ToolFailed(AgentError):
    code = "tool-failed"


class InternalError(AgentError):
    code = "internal"
