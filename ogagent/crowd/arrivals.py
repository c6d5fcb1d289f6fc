"""What others give of an image file: it comes in any order, may be wrong, and may end at any time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

from ogagent.errors import CrowdError
from ogagent.source.ranges import Ranges

Givers = Literal["multicast", "peers"]
Told = Callable[[int, int], None]
"""Of a stretch: where it starts and stops."""


class Storage(Protocol):
    """Where an image is kept on this PC, in part."""

    def lent(
        self, name: str, uid: int, gid: int, *, afresh: bool = False, told: Told | None = None
    ) -> AbstractAsyncContextManager[int]:
        """To somebody who may write to it meanwhile: a descriptor of a directory of his own in which it has this name.

        There is room for all of it; ``afresh``: what is in it will be gone. ``told`` hears, as long as it is lent, what
        this PC itself has written there. Raises CacheError.
        """

    @property
    def there(self) -> Ranges:
        """What of it may be right."""

    def came(self, start: int, stop: int, givers: Givers) -> None:
        """So much of it may be right now, written by somebody else."""

    def wrong(self, start: int, stop: int) -> bool:
        """What others have written there is not right: it is not there until it comes again. False when they have not
        written there.
        """


class Need(NamedTuple):
    """``wanted`` is missing here, of a file of ``size`` bytes that is kept in ``storage`` where it is kept; ``sidecar``
    gives what lies beside it in the repository, up to so many bytes. ``dried_up`` is to be told when, and why, others
    give so little that the rest is better fetched from the repository, too; it may raise that. What comes all the same
    counts.
    """

    wanted: Ranges
    size: int
    sidecar: Callable[[str, int], Awaitable[bytes | None]]
    storage: Storage | None
    dried_up: Callable[[CrowdError], None]


class Arrivals(Protocol):
    """Nothing of it is believed: whoever reads it proves it, or does without."""

    @property
    def givers(self) -> Givers: ...

    @property
    def gives(self) -> bool:
        """Whether others get from this PC what it has: then ``stretches`` does not end when all has come."""

    @property
    def repeats(self) -> bool:
        """Whether what was lost, or is wrong, may come again."""

    def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        """Joins, and tells which bytes of the file may be right now, as they come: where they start and stop.

        Ends when all has come. Raises SessionNotJoined, or MulticastFailed, when no more will come; what has come
        stays. Whoever closes it has left: nobody waits for this PC any more.
        """

    def covers(self, start: int, stop: int) -> bool:
        """Whether ``read`` would give all of it."""

    async def read(self, start: int, stop: int) -> bytes:
        """What is covered, once: it may be gone then."""

    def wrong(self, start: int, stop: int) -> None:
        """What was read of it does not prove: it is not covered until it comes again."""


class InStorage:
    """Of what comes into the storage, and is read from there: nothing waits here."""

    def covers(self, start: int, stop: int) -> bool:  # noqa: ARG002 - as Arrivals has it
        return False

    async def read(self, start: int, stop: int) -> bytes:  # noqa: ARG002 - likewise
        return b""
