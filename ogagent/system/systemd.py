"""What systemd is told: the protocol of sd_notify(3), without libsystemd."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_log: Final = logging.getLogger(__name__)


class Notifier(Struct, frozen=True):
    """Without a ``path``, as when systemd did not start the agent, nothing is sent.

    ``watchdog_s`` is how often the watchdog wants to hear of us, half of its patience; None when there is none.
    """

    path: str = ""
    watchdog_s: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        return cls(environment.get("NOTIFY_SOCKET", ""), _watchdog(environment))

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Shown by ``systemctl status``, as one line."""
        self._send(f"STATUS={' '.join(text.split())}")

    async def keep_alive(self) -> None:
        """Runs until cancelled: as long as the event loop turns, the watchdog hears of it."""
        while self.watchdog_s is not None:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s)

    def _send(self, state: str) -> None:
        if not self.path:
            return
        # A leading "@" stands for the zero byte of Linux' abstract namespace.
        address = "\0" + self.path[1:] if self.path.startswith("@") else self.path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
                messenger.setblocking(False)
                messenger.sendto(state.encode(), address)
        except OSError as error:
            # The work goes on; systemd draws its own conclusions from the silence.
            _log.warning("systemd could not be told %s: %s", state, error)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC counts for the process WATCHDOG_PID alone, see sd_watchdog_enabled(3)."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdecimal() and int(microseconds) else None
