"""What must survive the agent's death: which partitions are neither what they were nor what they should become."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final, Self

_log: Final = logging.getLogger(__name__)

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS incomplete (
    identity TEXT NOT NULL,
    partition INTEGER NOT NULL,
    PRIMARY KEY (identity, partition)
) WITHOUT ROWID
"""

Place = tuple[str, int]
"""Identity of a disk and number of a partition."""


class Journal:
    """Every change is on the medium when its call returns. Blocking; may be used from any thread."""

    def __init__(self, database: str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def in_memory(cls) -> Self:
        return cls(":memory:")

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """A journal that cannot be read is set aside, so that the agent starts all the same."""
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = state_dir / "journal.sqlite"
        try:
            return cls(str(file))
        except sqlite3.DatabaseError as error:
            aside = file.with_suffix(".damaged")
            _log.warning("%s cannot be read (%s): set aside as %s", file, error, aside.name)
            file.replace(aside)
            for rest in ("-wal", "-shm"):
                file.with_name(file.name + rest).unlink(missing_ok=True)
            return cls(str(file))

    def mark_incomplete(self, place: Place) -> None:
        self._execute("INSERT OR IGNORE INTO incomplete VALUES (?, ?)", place)

    def mark_complete(self, place: Place) -> None:
        self._execute("DELETE FROM incomplete WHERE identity = ? AND partition = ?", place)

    def incomplete(self) -> frozenset[Place]:
        return frozenset(self._execute("SELECT identity, partition FROM incomplete"))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _execute(self, statement: str, values: Place | tuple[()] = ()) -> list[Place]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()
