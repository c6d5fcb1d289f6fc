"""A job that was accepted fails."""

from __future__ import annotations

from ogagent.errors.base import AgentError


class RestoreError(AgentError):
    code = "restore-failed"
    number = 5


class SourceError(RestoreError):
    code = "repository-unreachable"
    status = 422
    number = 23


class RepositoryUnreachable(SourceError):
    """Also for a repository that answers, but refuses (401, 403) or fails to speak HTTP properly."""

    code = "repository-unreachable"


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
    status = 422
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


class SystemHibernated(RestoreError):
    """A warning: a system sleeps elsewhere on the machine."""

    code = "system-hibernated"
    number = 32


class SignatureRefused(ImageError):
    code = "signature-refused"
    number = 90


class CacheError(RestoreError):
    """The CACHE cannot be used or updated. A deployment goes on without it, unless ``cache.on_full`` says otherwise."""

    code = "cache-not-updated"
    number = 31


class CacheFull(CacheError):
    code = "cache-full"
    number = 16


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
    status = 422
    number = 92


class DeviceBusy(DeviceError):
    """Somebody else holds the partition now; it was free when the job was accepted."""

    code = "partition-in-use"
    number = 3


class CrowdError(RestoreError):
    """An image does not come from a crowd. The repository gives the rest then, unless ``crowd.fallback`` is off."""

    code = "multicast-failed"
    number = 57


class MulticastFailed(CrowdError):
    """Also for peers that stop giving."""

    code = "multicast-failed"


class SessionNotJoined(CrowdError):
    code = "session-not-joined"
    number = 60
