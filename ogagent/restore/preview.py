"""What a restore would do, found out without writing anything."""

from __future__ import annotations

import asyncio
from typing import Final

from ogagent.disk.lookup import check_identity
from ogagent.disk.sleepers import warnings_of
from ogagent.errors import RepositoryUnreachable
from ogagent.model.plan import Preview
from ogagent.restore.job import read_header
from ogagent.restore.request import RestorePlan
from ogagent.source.source import SourcePolicy

_TIMEOUT_S: Final = 15.0
_AT_ONCE: Final = 2
"""Each one reads ahead into memory of its own."""


class Previewer:
    def __init__(self, policy: SourcePolicy, timeout_s: float = _TIMEOUT_S) -> None:
        self._policy = policy
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def preview(self, plan: RestorePlan) -> Preview:
        """Raises the DiskChanged, SourceError or ImageError that the job would fail with before its first write."""
        check_identity(plan.request.identity, plan.target.disk, plan.target.identity)
        try:
            async with asyncio.timeout(self._timeout_s), self._turn:
                image = await read_header(plan, self._policy)
        except TimeoutError as error:
            raise RepositoryUnreachable(
                f"{plan.source} did not show its header within {self._timeout_s:g} s",
                hint="check that the repository runs and that this machine reaches it",
            ) from error
        warnings = (*plan.remarks, *warnings_of(plan))
        return Preview(target=plan.target, source=plan.source, image=image, warnings=warnings)
