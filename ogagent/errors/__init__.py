"""Everything that can go wrong, as one tree of values.

::

    AgentError
    ├── SettingsError                  the configuration cannot be used; nothing starts
    ├── Refusal                        a call is turned down; nothing was touched
    │   ├── BadCall                    the call itself is wrong: MalformedHttp, MalformedJson, MissingField, …
    │   ├── AccessDenied               CredentialMissing, CredentialWrong, CallerNotAllowed, TooManyRequests
    │   ├── NotFound                   UnknownPath, DiskNotFound, PartitionNotFound, JobNotFound
    │   ├── InTheWay                   DiskBusy, PartitionInUse, TargetIsCache, TargetIsSystem, JobFinished
    │   ├── Impossible                 DiskNotPartitioned, TooFewPartitions, CacheMissing, …
    │   ├── TooManyConnections
    │   └── Stopping
    ├── RestoreError                   an accepted job fails
    │   ├── SourceError                ImageNotFound, ImageLocked, RepositoryUnreachable, ImageChanged
    │   ├── ImageError                 UnknownImage, ImageCorrupt, ImageTooLarge, FilesystemMismatch,
    │   │                              SignatureRefused
    │   ├── CacheError                 CacheFull
    │   └── DeviceError                WriteFailed, ReadBackDiffers, DiskChanged, DeviceBusy
    ├── Interrupted                    the agent died while the job ran
    ├── ToolMissing                    a program is not installed
    ├── ToolFailed                     a program failed or gave an answer that cannot be read
    └── InternalError                  a bug

``code`` is for programs, ``number`` for people who know OpenGnsys (0 where none applies), the message names the thing,
``hint`` the next step.
"""

from __future__ import annotations

from ogagent.errors.base import (
    AgentError,
    InternalError,
    Interrupted,
    SettingsError,
    ToolFailed,
    ToolMissing,
)
from ogagent.errors.refusal import (
    AccessDenied,
    BadCall,
    BodyTooLarge,
    CacheMissing,
    CallerNotAllowed,
    CredentialMissing,
    CredentialWrong,
    DiskBusy,
    DiskNotFound,
    DiskNotPartitioned,
    Impossible,
    InTheWay,
    InvalidField,
    JobFinished,
    JobNotFound,
    MalformedHttp,
    MalformedJson,
    MethodNotAllowed,
    MethodNotSupported,
    MissingField,
    NotFound,
    NotJson,
    PartitionInUse,
    PartitionNotFound,
    Refusal,
    RepositoryNotAllowed,
    Stopping,
    TargetIsCache,
    TargetIsSystem,
    TooFewPartitions,
    TooManyConnections,
    TooManyRequests,
    UnknownPath,
)
from ogagent.errors.restore import (
    CacheError,
    CacheFull,
    DeviceBusy,
    DeviceError,
    DiskChanged,
    FilesystemMismatch,
    ImageChanged,
    ImageCorrupt,
    ImageError,
    ImageLocked,
    ImageNotFound,
    ImageTooLarge,
    ReadBackDiffers,
    RepositoryUnreachable,
    RestoreError,
    SignatureRefused,
    SourceError,
    UnknownImage,
    WriteFailed,
)

__all__ = [
    "AccessDenied",
    "AgentError",
    "BadCall",
    "BodyTooLarge",
    "CacheError",
    "CacheFull",
    "CacheMissing",
    "CallerNotAllowed",
    "CredentialMissing",
    "CredentialWrong",
    "DeviceBusy",
    "DeviceError",
    "DiskBusy",
    "DiskChanged",
    "DiskNotFound",
    "DiskNotPartitioned",
    "FilesystemMismatch",
    "ImageChanged",
    "ImageCorrupt",
    "ImageError",
    "ImageLocked",
    "ImageNotFound",
    "ImageTooLarge",
    "Impossible",
    "InTheWay",
    "InternalError",
    "Interrupted",
    "InvalidField",
    "JobFinished",
    "JobNotFound",
    "MalformedHttp",
    "MalformedJson",
    "MethodNotAllowed",
    "MethodNotSupported",
    "MissingField",
    "NotFound",
    "NotJson",
    "PartitionInUse",
    "PartitionNotFound",
    "ReadBackDiffers",
    "Refusal",
    "RepositoryNotAllowed",
    "RepositoryUnreachable",
    "RestoreError",
    "SettingsError",
    "SignatureRefused",
    "SourceError",
    "Stopping",
    "TargetIsCache",
    "TargetIsSystem",
    "TooFewPartitions",
    "TooManyConnections",
    "TooManyRequests",
    "ToolFailed",
    "ToolMissing",
    "UnknownImage",
    "UnknownPath",
    "WriteFailed",
]
