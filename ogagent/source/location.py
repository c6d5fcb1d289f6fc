"""Where an image is said to be."""

from __future__ import annotations

from typing import Final

from yarl import URL

from ogagent.errors import RepositoryUnreachable

_SHOWN: Final = 100  # characters


def parsed_url(text: str, base: URL | None = None) -> URL:
    """``base`` is what ``text`` may be relative to. Raises RepositoryUnreachable for what is no URL."""
    try:
        url = URL(text)
        return base.join(url) if base is not None else url
    except ValueError as error:
        raise RepositoryUnreachable(f"{shown(text)} is no URL: {error}") from error


def shown(text: str | None) -> str:
    """What a server says, for people and their terminals: no more than they can read."""
    return repr(text if text is None or len(text) <= _SHOWN else text[:_SHOWN] + "...")
