"""Whether the clock of this machine can be right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_SLACK: Final = timedelta(days=1)
"""Between the clock of the machine that packed this and that of this one, time zones included."""


def built(package: Path) -> datetime:
    """When the newest file of the package in that directory was made: no clock of a machine that runs it is older.

    A package may have been given an older date so that it is the same each time that it is made; it then proves less.
    """
    newest = max((path.stat().st_mtime for path in package.glob("*.py")), default=0.0)
    return datetime.fromtimestamp(newest, UTC)


def doubt(now: datetime, built: datetime) -> str:
    """What to tell of a clock that is behind the agent's own making; empty when nothing speaks against it."""
    if now >= built - _SLACK:
        return ""
    return (
        f"the clock of this machine is wrong: it says {now:%Y-%m-%d %H:%M} UTC, and this agent was made on "
        f"{built:%Y-%m-%d}; certificates of ogCore and of the repository will look as if they were not valid yet: "
        "set the clock (date -s, or an NTP server), and look at the battery of the mainboard"
    )
