"""A journal that is damaged: how it is told from one that cannot be used at the moment, and where it goes."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """What has no code of SQLite's was found in what could be read: by its check, or text that is no UTF-8."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def set_aside(file: Path) -> Path:
    """With its WAL, where what was written last may be. The first one stays for good, and of later ones the newest.

    Raises OSError.
    """
    aside = file.with_suffix(".damaged")
    if aside.exists():
        aside = file.with_suffix(".damaged-again")
    for rest in ("", "-wal", "-shm"):
        part, place = file.with_name(file.name + rest), aside.with_name(aside.name + rest)
        place.unlink(missing_ok=True)
        if part.exists():
            part.replace(place)
    return aside
