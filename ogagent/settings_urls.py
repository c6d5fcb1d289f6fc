"""URLs that an administrator may choose: what of them would fail at a call only is found at the start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from yarl import URL

from ogagent.model.repository import image_url, is_host

_REQUESTED_HOST: Final = re.compile(r"\{ipr\}(:[0-9]+)?")
_IMAGE: Final = "directory/image"


def directory_of(url: str) -> str:
    """Where all images are when ``url`` is one of files: what stands before the first placeholder. Empty otherwise."""
    location = URL(url.partition("{")[0] + "_")
    return str(Path(location.path).parent) if location.scheme == "file" else ""


def check_ogcore_url(url: str) -> None:
    """Raises ValueError, as the others do."""
    _refuse_credentials(url)
    location = _location(url)
    if location.scheme != "https":
        raise ValueError(f"{url!r} does not begin with https://")
    if not location.raw_host:
        raise ValueError(f"{url!r} is not of the form https://HOST[:PORT][/PATH]")


def check_repository_url(url: str) -> None:
    _refuse_credentials(url)
    rest = url.replace("{ipr}", "").replace("{nci}", "")
    if "{nci}" not in url or "{" in rest or "}" in rest:
        raise ValueError(f"{url!r} must hold {{nci}}, may hold {{ipr}}, and no other placeholder")
    authority = url.partition("//")[2].partition("/")[0]
    if "{" in authority and not _REQUESTED_HOST.fullmatch(authority):
        raise ValueError(f"{url!r} has a placeholder in its host or port: {{ipr}} may only be the whole host")
    location = _location(image_url(url, "repository.example", _IMAGE))
    if location.scheme not in ("http", "https", "file"):
        raise ValueError(f"{url!r} does not begin with http://, https:// or file://")
    if (location.scheme == "file") == bool(location.raw_host):
        raise ValueError(f"{url!r} has a host where none belongs, or none where one belongs")
    if not location.path.startswith("/") or _IMAGE not in location.path:
        raise ValueError(f"{url!r} must have {{nci}} in its path, which begins with /")


def check_capture_url(url: str) -> None:
    check_repository_url(url)
    if url.startswith("http:"):
        raise ValueError(f"{url!r} does not begin with https:// or file://: images are sent to nobody unverified")


def _refuse_credentials(url: str) -> None:
    """Addresses stand in logs, plans and reports. So this one is not shown."""
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise ValueError("SCHEME://USER@HOST: a user's name or password would be shown wherever this address is")


def _location(url: str) -> URL:
    """Raises ValueError for what would fail at a call only."""
    location, parts = URL(url), urlsplit(url)  # calls are made with the one; the other takes no port like +80
    if parts.port == 0 or "?" in url or "#" in url:
        raise ValueError(f"{url!r} is not of the form SCHEME://HOST[:PORT][/PATH]")
    if not url.isprintable() or not location.path.isprintable():
        raise ValueError(f"{url!r} holds a character that cannot be printed")
    (parts.hostname or "").encode("idna")  # as sockets do it
    host = location.raw_host or ""
    # DNS has names with an underscore, and with a dot at the end.
    if host and not is_host(host.removesuffix(".").replace("_", "-")):
        raise ValueError(f"{host!r} is neither an IP address nor the name of a host")
    return location
