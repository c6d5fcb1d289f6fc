"""What there is to ask of a machine's power: that it goes down, and what it comes up with."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from ogagent.model.disk import TableKind
from ogagent.model.plan import Target


class BootPlace(Struct, frozen=True, kw_only=True):
    """A partition to boot from. ``filesystem`` as libblkid calls it; ``table`` is that of its disk.

    ``esps``: the EFI system partitions of the machine, those of the same disk first.
    """

    partition: Target
    filesystem: str
    table: TableKind
    esps: tuple[Target, ...] = ()


class Way(Protocol):
    """How the machine comes to boot from a partition."""

    @property
    def would(self) -> str:
        """What is done, for people."""

    async def prepare(self) -> None:
        """All that may fail. The machine stays up. Raises AgentError."""

    async def go(self) -> None:
        """The machine goes down, and boots so. Raises AgentError."""


class Going(Protocol):
    async def restart(self) -> None:
        """Returns when the machine is about to go down, if it returns at all. Raises AgentError."""

    async def switch_off(self) -> None:
        """Likewise."""


class Power(Going, Protocol):
    async def way_to(self, place: BootPlace) -> Way:
        """Found without changing anything. Raises NoSystem, and what else keeps it from being found."""
