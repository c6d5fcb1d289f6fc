"""What all errors have in common, and those that belong to no call and no restore."""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    code: ClassVar[str] = "internal"
    number: ClassVar[int] = 40
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = encodable(message)
        self.hint = encodable(hint)
        super().__init__(self.message)

    @property
    def der(self) -> str:
        """The error as OpenGnsys reports it: number, dash, text (``030-The image needs …``)."""
        return f"{self.number:03d}-{self.message}"


def encodable(text: str) -> str:
    """A message may quote the name of a file, or what JSON holds: halves of surrogate pairs, which no UTF-8 can."""
    return text.encode(errors="backslashreplace").decode()


class SettingsError(AgentError):
    code = "settings"
    number = 1


class NotRetired(AgentError):
    """The agent that runs goes on, with the code that it was started with."""

    code = "not-retired"


class NotAdded(AgentError):
    """The image of an ogLive stays as it is."""

    code = "not-added"


class NotConfirmed(AgentError):
    """Whoever was asked has not said yes."""

    code = "not-confirmed"


class Interrupted(AgentError):
    code = "interrupted"
    number = 93


class ToolMissing(AgentError):
    code = "tool-missing"


class ToolFailed(AgentError):
    code = "tool-failed"


class ScriptError(AgentError):
    code = "script-failed"


class ScriptFailed(ScriptError):
    """It ran, and says itself that it has failed."""


class ScriptNotRun(ScriptError):
    code = "script-not-run"
    number = 7


class NoSystem(AgentError):
    """Only a look into the partition, or at the machine, has shown that nothing starts from there."""

    code = "nothing-to-boot"
    number = 6
    status = 422


class PartitionNotReadable(AgentError):
    """What is on a partition cannot be looked into: its disk does not answer, or its file system is damaged."""

    code = "partition-not-readable"


class SoftwareIncomplete(AgentError):
    """Of what is installed not all could be told."""

    code = "software-incomplete"


class PartitioningFailed(AgentError):
    """A table or a file system could not be made."""

    code = "partitioning-failed"


class InternalError(AgentError):
    code = "internal"
