"""One thing that is done to a restored partition before the PC is called ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Step(Protocol):
    """Safe to repeat: after a kill in the middle it is begun again."""

    @property
    def name(self) -> str:
        """One word or two, for logs, timings and the console: ``grow``, ``host name``."""

    @property
    def would(self) -> str:
        """What is done, with its values, for people: ``the file system fills its 60.0 GB``."""

    @property
    def warnings(self) -> Sequence[str]:
        """For people: what is not as one would like it, and no failure. Known when the step has been seen to."""

    async def needed(self) -> bool:
        """Whether anything has to be changed. Raises AgentError."""

    async def do(self) -> None:
        """Raises AgentError."""

    async def proof(self) -> None:
        """Looks whether it holds now. Raises AgentError when it does not."""
