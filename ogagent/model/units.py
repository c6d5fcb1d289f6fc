"""Sizes, and how they are written for people."""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30


def format_bytes(size: int) -> str:
    """``5368709120`` as ``5.0 GiB``."""
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def format_speed(bits: int) -> str:
    """Bits a second, ``70000000`` as ``70 Mbit/s``."""
    return f"{bits / 10**6:g} Mbit/s"
