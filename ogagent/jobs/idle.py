"""What an agent does while it has no job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class Idling(Protocol):
    def interrupted(self) -> AbstractAsyncContextManager[None]:
        """It has stopped, and holds no disk, as long as the block lasts; waited for in bounded time. Several may."""


class NoIdling:
    """Implements ``Idling``: it does nothing."""

    @asynccontextmanager
    async def interrupted(self) -> AsyncIterator[None]:
        yield
