"""The journal's tables, and how those of an older agent become them."""

from __future__ import annotations

import sqlite3
from typing import Final

from ogagent.errors import SettingsError

# One entry a version, in PRAGMA user_version: what makes it from the one before. Never changed, only appended to.
_MIGRATIONS: Final = (
    (
        """
        CREATE TABLE IF NOT EXISTS incomplete (
            identity TEXT NOT NULL,
            partition INTEGER NOT NULL,
            PRIMARY KEY (identity, partition)
        ) WITHOUT ROWID
        """,
    ),
    (
        # number: the order of jobs, since a clock may jump. finished: NULL while a job runs. edges: what those of the
        # partition will be, while they are being written. seq, progress: of the newest report that may have been
        # sent. report: the final one, until it is delivered; with the reason in refusal when ogCore never takes it.
        """
        CREATE TABLE jobs (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id TEXT NOT NULL UNIQUE,
            step TEXT NOT NULL,
            job BLOB NOT NULL,
            target BLOB NOT NULL,
            finished TEXT,
            edges BLOB,
            seq INTEGER NOT NULL DEFAULT 0,
            progress INTEGER NOT NULL DEFAULT 0,
            report BLOB,
            refusal TEXT
        )
        """,
        """
        CREATE TABLE steps (
            number INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
            step TEXT NOT NULL,
            at TEXT NOT NULL,
            PRIMARY KEY (number, step)
        ) WITHOUT ROWID
        """,
    ),
    (
        # start, size: of the partition, in bytes; NULL where an older agent did not note it. wiped: its edges are known
        # to have been, so that nothing mounts there unless somebody has made it since.
        "ALTER TABLE incomplete ADD COLUMN start INTEGER",
        "ALTER TABLE incomplete ADD COLUMN size INTEGER",
        "ALTER TABLE incomplete ADD COLUMN wiped INTEGER NOT NULL DEFAULT 1",
    ),
    (
        # What a job of any kind leaves for who comes after it when it begins to commit; a restore leaves its edges.
        "ALTER TABLE jobs RENAME COLUMN edges TO note",
    ),
    (
        # Which disk ogCore may take for the one with this number: more than one, while it is not known what arrived.
        """
        CREATE TABLE told (
            number INTEGER NOT NULL,
            identity TEXT NOT NULL,
            PRIMARY KEY (number, identity)
        ) WITHOUT ROWID
        """,
    ),
    (
        # whole: the partition holds the image, and has not been made ready.
        "ALTER TABLE incomplete ADD COLUMN whole INTEGER NOT NULL DEFAULT 0",
    ),
)


def prepare(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError for what is damaged, and SettingsError for what a newer agent has made."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise SettingsError(
            f"the journal in state.dir was made by a newer agent: its version is {version}, this agent knows "
            f"{len(_MIGRATIONS)}",
            hint="install that agent again; or move the journal away, and with it what ogCore has not been told, "
            "and which partitions are incomplete",
        )
    if version == len(_MIGRATIONS):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for statements in _MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
