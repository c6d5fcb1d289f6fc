"""What the settings name: files, and a network card. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ogagent.check.finding import Finding, ok, problem, warning
from ogagent.settings import Settings

_CARDS: Final = Path("/sys/class/net")
_HINT: Final = "put it there, or correct the configuration"


def named(settings: Settings, cards: Path = _CARDS) -> Iterator[Finding]:
    """Nothing of settings that name nothing."""
    files = [(key, path) for key, path in _files(settings) if path]
    missing = [(key, said) for key, path in files if (said := _missing(path))]
    if files and not missing:
        yield ok("files", f"{len(files)} that the settings name")
    yield from (problem(key, said, _HINT) for key, said in missing)
    hook = settings.finish.hook
    if hook and not _missing(hook) and not os.access(hook, os.X_OK):
        yield problem("finish.hook", f"{hook} is no program that may be run", f"chmod +x {hook}")
    card = settings.crowd.interface
    if card and not (cards / card).exists():
        there = ", ".join(sorted(each.name for each in cards.iterdir()))
        yield warning("crowd.interface", f"there is no network card {card}", f"name one of these: {there}")


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "server.certificate", settings.server.certificate
    yield "server.key", settings.server.key
    yield "access.client_ca", settings.access.client_ca
    yield "access.secret_file", settings.access.secret_file
    yield "ogcore.ca", settings.ogcore.ca
    yield "repository.ca", settings.repository.ca
    yield from (("repository.public_keys", path) for path in settings.repository.public_keys)
    yield "capture.credential_file", settings.capture.credential_file
    yield "finish.hook", settings.finish.hook


def _missing(path: str) -> str:
    """Why it cannot be read; empty when it can."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return ""
