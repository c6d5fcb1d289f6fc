"""How the machine goes down: in order, by systemd where that runs, otherwise by the kernel itself."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import Final

from ogagent.errors import ToolFailed
from ogagent.system import process
from ogagent.system.aside import aside
from ogagent.system.kernel_calls import KEXEC, POWER_OFF, RESTART, reboot

_log: Final = logging.getLogger(__name__)

SYSTEMD: Final = Path("/run/systemd/system")
"""There where systemd is the first process: sd_booted(3)."""
_SETTLE_S: Final = 30.0
_ASK_S: Final = 30.0


class Goal(Enum):
    """The word of systemctl, and the command of reboot(2)."""

    RESTART = ("reboot", RESTART)
    OFF = ("poweroff", POWER_OFF)
    KEXEC = ("kexec", KEXEC)


async def _nothing() -> None:
    """No CACHE is used."""


class Down:
    """``leave_cache`` unmounts what the agent itself has mounted; it and the disks have ``patience_s`` each."""

    def __init__(
        self,
        leave_cache: Callable[[], Awaitable[None]] = _nothing,
        *,
        systemd: Path = SYSTEMD,
        kernel: Callable[[int], None] = reboot,
        sync: Callable[[], None] = os.sync,
        patience_s: float = _SETTLE_S,
    ) -> None:
        self._leave_cache = leave_cache
        self._systemd = systemd
        self._kernel = kernel
        self._sync = sync
        self._patience_s = patience_s

    async def go(self, goal: Goal) -> None:
        """A disk that does not answer keeps no machine up. Raises ToolFailed, ToolMissing."""
        word, command = goal.value
        await self._settled()
        _log.info("the machine goes down: %s", word)
        if self._systemd.exists():
            await process.run(["systemctl", "--no-block", word], timeout_s=_ASK_S)
            return
        try:
            await asyncio.to_thread(self._kernel, command)
        except OSError as error:
            raise ToolFailed(
                f"the kernel refuses to {word}: {error.strerror}", hint="without systemd the agent needs CAP_SYS_BOOT"
            ) from error

    async def _settled(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._leave_cache()
        except TimeoutError:
            _log.warning("the CACHE stays mounted: it does not answer")
        try:
            await aside(self._patience_s, self._sync)
        except TimeoutError:
            _log.warning("a file system does not take what was written to it within %g s", self._patience_s)
