"""Where the agent keeps what must outlive it: ``[state]`` of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

STATE_DIRECTORY: Final = "/var/lib/ogagent"
"""That of the systemd unit."""
ON_CACHE: Final = "cache"


class StateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dir: Annotated[str, Meta(min_length=1)] = STATE_DIRECTORY

    @property
    def mistake(self) -> str:
        """What is wrong with it; empty when nothing is."""
        right = self.on_cache or self.dir.startswith("/")
        return "" if right else f'{self.dir!r} is neither the path of a directory nor "{ON_CACHE}"'

    @property
    def on_cache(self) -> bool:
        """Whether of each job there is a copy on the CACHE that tells of it."""
        return self.dir == ON_CACHE

    @property
    def place(self) -> Path:
        """The directory that the agent works in; with ``on_cache`` it may lie in memory."""
        return Path(STATE_DIRECTORY if self.on_cache else self.dir)
