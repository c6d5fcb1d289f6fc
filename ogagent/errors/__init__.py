"""Everything that can go wrong, as one tree of values.

::

    AgentError
    ├── SettingsError                  the configuration cannot be used; nothing starts
    ├── Refusal                        a call is turned down; nothing was touched
    │   ├── BadCall                    the call itself is wrong: MalformedHttp, MalformedJson, MissingField, …
    │   ├── AccessDenied               CredentialMissing, CredentialWrong, CallerNotAllowed, TooManyRequests
    │   ├── NotFound                   UnknownPath, DiskNotFound, PartitionNotFound, JobNotFound
    │   ├── InTheWay                   DiskBusy, MachineBusy, DiskRenumbered, PartitionInUse, PartitionOverlaps,
    │   │                              TargetIsCache, TargetIsSystem, JobFinished
    │   ├── Impossible                 DiskNotPartitioned, TooFewPartitions, CacheMissing, TableDoesNotFit,
    │   │                              FilesystemNotSupported, …
    │   ├── TooManyConnections
    │   └── Stopping
    ├── RestoreError                   an accepted job fails
    │   ├── SourceError                ImageNotFound, ImageLocked, RepositoryUnreachable, ImageChanged
    │   ├── ImageError                 UnknownImage, ImageCorrupt, ImageTooLarge, FilesystemMismatch,
    │   │                              SignatureRefused
    │   ├── CacheError                 CacheFull
    │   ├── CrowdError                 MulticastFailed, SessionNotJoined
    │   ├── SystemHibernated
    │   └── DeviceError                WriteFailed, ReadBackDiffers, DiskChanged, DeviceBusy
    ├── CaptureError                   a partition does not become an image: ModelNotRead, ModelNotClean, ModelChanged,
    │                                  RepositoryFull, ImageNotKept, ModelNotGrownBack, CannotReduce
    ├── FinishError                    the disk holds the image, and is not ready: NotGrown, NotReady
    ├── Interrupted                    the agent died while the job ran
    ├── NotAdded                       the image of an ogLive does not get the agent
    ├── NotConfirmed                   whoever was asked has not said yes
    ├── NotRetired                     an agent that is to make room for a newer one still works
    ├── ScriptError                    ScriptFailed, ScriptNotRun
    ├── NoSystem                       what was to be booted does not start
    ├── PartitionNotReadable           its disk does not answer, or its file system is damaged
    ├── ToolMissing                    a program is not installed
    ├── ToolFailed                     a program failed or gave an answer that cannot be read
    ├── PartitioningFailed             a table or a file system could not be made
    └── InternalError                  a bug

``code`` is for programs, ``number`` for people who know OpenGnsys (0 where none applies), ``status`` what HTTP answers
when a call ends so; the message names the thing, ``hint`` the next step.
"""

from ogagent.errors.base import *
from ogagent.errors.capture import *
from ogagent.errors.finish import *
from ogagent.errors.refusal import *
from ogagent.errors.restore import *
