"""Where an image is said to be."""

from __future__ import annotations

from typing import Final

from yarl import URL

from ogagent.errors import RepositoryNotAllowed, RepositoryUnreachable
from ogagent.model.repository import Networks, is_within

_SHOWN: Final = 100  # characters


def parsed_url(text: str, base: URL | None = None) -> URL:
    """``base`` is what ``text`` may be relative to.

    Raises RepositoryUnreachable for what is no URL, and, without showing it, for one that holds a password.
    """
    try:
        url = URL(text)
        url = base.join(url) if base is not None else url
    except ValueError as error:
        raise RepositoryUnreachable(f"{shown(text)} is no URL: {error}") from error
    if url.raw_user is not None or url.raw_password is not None:
        raise RepositoryUnreachable(
            f"an address on {shown(url.raw_host)} holds a user's name or a password",
            hint="addresses are shown wherever they are used: let the repository know this machine in another way",
        )
    return url


def shown(text: str | None) -> str:
    """What a server says, for people and their terminals: no more than they can read."""
    return repr(text if text is None or len(text) <= _SHOWN else text[:_SHOWN] + "...")


def refuse_outside(host: str, networks: Networks) -> None:
    """Raises RepositoryNotAllowed. A host name passes here; its address is checked when that is known, see
    ``source.resolver``.
    """
    try:
        inside = is_within(host, networks)
    except ValueError:
        return
    if not inside:
        raise RepositoryNotAllowed(
            f"repository {host} is outside the networks that this agent takes images from",
            field="ipr",
            hint="see repository.allow in the agent's configuration",
        )
