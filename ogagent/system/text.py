"""What a device says of itself, fit to be shown and sent."""

from __future__ import annotations

from typing import Final

_LIMIT: Final = 128


def printable(text: str) -> str:
    """One line, bounded, without anything a terminal or a JSON encoder would stumble over."""
    clean = "".join(character if character.isprintable() else "?" for character in text.strip()[:_LIMIT])
    return " ".join(clean.split())
