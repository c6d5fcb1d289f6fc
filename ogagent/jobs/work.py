"""What the jobs ask of a function: nothing in here knows any of them by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from ogagent.model.disk import Inventory
from ogagent.model.job import JobTarget
from ogagent.model.kind import Kind
from ogagent.model.plan import Target
from ogagent.model.progress import JobProgress


class Claims(Struct, frozen=True, kw_only=True):
    """What a job holds as long as it runs: disks, the number of each by its identity, or the whole machine.

    ``by_number``: so ogCore names them, and not by their identities.
    """

    disks: Mapping[str, int] = field(default_factory=dict)
    by_number: bool = True
    machine: bool = False


def claims_on(number: int, identity: str, inventory: Inventory, *, machine: bool = False) -> Claims:
    """The disk with this number; ``identity`` is what the request names it by as well, empty where it does not."""
    disks = {disk.identity: number for disk in inventory.disks if disk.disk == number}
    return Claims(disks=disks, by_number=not identity, machine=machine)


class Order(Protocol):
    """A request that is right by itself, before anybody has looked at the machine."""

    @property
    def looks(self) -> bool:
        """Whether it has to be known which disks there are; otherwise it is asked with none."""

    def claims(self, inventory: Inventory) -> Claims:
        """Nothing of what is not there: ``plan`` says so."""

    def plan(self, inventory: Inventory) -> Work:
        """Raises the Refusal that fits."""


class Work(Protocol):
    """A plan that can be carried out, once."""

    @property
    def kind(self) -> Kind: ...

    @property
    def claims(self) -> Claims: ...

    @property
    def request(self) -> Mapping[str, str]:
        """In ogCore's own words."""

    @property
    def target(self) -> JobTarget | None: ...

    @property
    def overwrites(self) -> Target | None:
        """The partition that is INCOMPLETE from the first change until the job is done."""

    @property
    def progress(self) -> JobProgress: ...

    async def preview(self) -> Any:
        """What would be done, as a value of the model; found in bounded time, without changing anything.

        Raises what ``run`` would fail with before its first change, as far as that can be known.
        """

    async def run(self) -> None:
        """Returns when all is done, and has said so to ``progress``. Raises AgentError otherwise."""

    def answer(self) -> Mapping[str, Any]:
        """What only the work knows of the final report's members, however it ended."""

    @property
    def afterwards(self) -> Callable[[], Awaitable[None]] | None:
        """What is done when it has succeeded and ogCore knows, or has not wanted to for a while; nothing is free before
        that. Raises AgentError.
        """
