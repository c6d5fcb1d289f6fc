"""What has come to this machine of what is sent to many at once, as its network stack counts it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_TABLES: Final = Path("/proc/self/net")


def received(tables: Path = _TABLES) -> int:
    """Packets that were sent to many, on all network cards, less those for which no program had room; only what has
    come since an earlier time means something. Blocking.

    For the names see proc_net(5), and RFC 4293 and 4113. Raises OSError, and ValueError where it is not counted.
    """
    ip, udp = _row(tables / "netstat", "IpExt:"), _row(tables / "snmp", "Udp:")
    try:
        return ip["InMcastPkts"] + ip["InBcastPkts"] - udp["RcvbufErrors"]
    except KeyError as error:
        raise ValueError(f"this kernel does not count {error}") from None


def _row(table: Path, name: str) -> dict[str, int]:
    """Two lines, of titles and of values."""
    lines = [line.split() for line in table.read_text("ascii").splitlines() if line.startswith(name)]
    if len(lines) != 2:
        raise ValueError(f"{table} has no {name}")
    return {title: int(value) for title, value in zip(lines[0][1:], lines[1][1:], strict=True)}
