"""A call is turned down; nothing was touched."""

from __future__ import annotations

from ogagent.errors.base import AgentError, encodable


class Refusal(AgentError):
    """``field`` names the member of the request, ``job_id`` the job, that stands in the way."""

    code = "refused"
    status = 400
    number = 1

    def __init__(self, message: str, *, hint: str = "", field: str = "", job_id: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = encodable(field)
        self.job_id = encodable(job_id)


class BadCall(Refusal):
    code = "invalid-field"


class MalformedHttp(BadCall):
    code = "malformed-http"


class MalformedJson(BadCall):
    code = "malformed-json"


class MissingField(BadCall):
    code = "missing-field"


class InvalidField(BadCall):
    code = "invalid-field"


class NotJson(BadCall):
    code = "not-json"
    status = 415


class BodyTooLarge(BadCall):
    code = "body-too-large"
    status = 413


class MethodNotAllowed(BadCall):
    code = "method-not-allowed"
    status = 405


class AccessDenied(Refusal):
    code = "caller-not-allowed"
    status = 403


class CredentialMissing(AccessDenied):
    code = "credential-missing"
    status = 401


class CredentialWrong(AccessDenied):
    code = "credential-wrong"
    status = 401


class CallerNotAllowed(AccessDenied):
    code = "caller-not-allowed"


class TooManyRequests(AccessDenied):
    code = "too-many-requests"
    status = 429


class NotFound(Refusal):
    code = "unknown-path"
    status = 404
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
    status = 409


class DiskBusy(InTheWay):
    code = "disk-busy"
    number = 4


class MachineBusy(InTheWay):
    code = "machine-busy"
    number = 4


class DiskRenumbered(InTheWay):
    """The number stands for another disk than ogCore was last told."""

    code = "disk-renumbered"
    number = 92


class PartitionInUse(InTheWay):
    code = "partition-in-use"
    number = 3


class PartitionOverlaps(InTheWay):
    """The partition is not its own alone: it shares bytes with something else, or its place cannot be trusted."""

    code = "partition-overlaps"
    number = 3


class TargetIsCache(InTheWay):
    code = "target-is-cache"
    number = 3


class TargetIsSystem(InTheWay):
    code = "target-is-system"
    number = 3


class JobFinished(InTheWay):
    code = "job-finished"


class NotInOgLive(InTheWay):
    """The system of the PC's own disk is running: its disks are in use by it."""

    code = "not-in-oglive"


class NobodyLoggedIn(InTheWay):
    code = "nobody-logged-in"


class Impossible(Refusal):
    code = "disk-not-partitioned"
    status = 422


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


class TableDoesNotFit(Impossible):
    code = "table-does-not-fit"
    number = 40


class FilesystemNotSupported(Impossible):
    code = "filesystem-not-supported"
    number = 20


class NothingToBoot(Impossible):
    code = "nothing-to-boot"
    number = 6


class TooManyConnections(Refusal):
    code = "too-many-connections"
    status = 503


class SessionsUnknown(Refusal):
    """systemd-logind cannot be asked who is logged in."""

    code = "sessions-unknown"
    status = 503


class Stopping(Refusal):
    code = "stopping"
    status = 503
    number = 4
