"""Fedora, RHEL, openSUSE and their kin.

The database in its newest form, SQLite, is read here: Fedora since 33, RHEL since 9. It is read from memory, for SQLite
opens files by name, and the file has none outside its partition.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from ogagent.model.software import Package
from ogagent.software.found import Unreadable, package
from ogagent.system.tree import Tree

_PLACES: Final = ("usr/lib/sysimage/rpm", "var/lib/rpm")
_SQLITE: Final = "rpmdb.sqlite"
_OLDER: Final = {"Packages.db": "ndb", "Packages": "Berkeley DB"}
_LARGEST: Final = 192 << 20  # some 90 KiB a package
_STEPS: Final = 100_000
_HEAD: Final = 1 << 16  # of a package's header: names and numbers come first, file lists and change logs later
_INDEX: Final = struct.Struct(">II")
_ENTRY: Final = struct.Struct(">IiII")  # tag, type, offset, count: rpm/lib/header.c, struct entryInfo_s
_TAGS: Final = {1000: "name", 1001: "version", 1002: "release", 1003: "epoch"}  # rpmtag.h
_STRING, _INT32 = 6, 4


def rpm(tree: Tree) -> Iterator[Package]:
    for place in _PLACES:
        database = tree.read(f"{place}/{_SQLITE}", _LARGEST)
        if database:
            yield from parse_database(database, tree.go_on)
            return
        for file, kind in _OLDER.items():
            if file in tree.names(place):
                raise Unreadable(f"/{place}/{file}: packages in this form of rpm's database ({kind}) are not read")


def parse_database(content: bytes, go_on: Callable[[], None] = lambda: None) -> Iterator[Package]:
    """``go_on`` is called now and then, and may raise. Raises Unreadable."""
    if len(content) < 100:
        raise Unreadable("rpm's database is empty")
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            # A database in memory has no write-ahead log: bytes 18 and 19 say so (fileformat2.html, 1.3.3).
            database.deserialize(content[:18] + b"\x01\x01" + content[20:])
            yield from _packages(database, go_on)
        except (sqlite3.Error, MemoryError) as error:
            raise Unreadable(f"rpm's database cannot be read: {error}") from error


def _packages(database: sqlite3.Connection, go_on: Callable[[], None]) -> Iterator[Package]:
    """The database is data, whatever it says of views, triggers and functions."""
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 << 20)
    database.set_progress_handler(go_on, _STEPS)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA query_only = ON")
    table = database.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'Packages'").fetchone()
    if table is None or not str(table[0]).upper().startswith("CREATE TABLE"):
        raise Unreadable("rpm's database has no table of packages")
    for (header,) in database.execute("SELECT substr(blob, 1, ?) FROM Packages", (_HEAD,)):
        if isinstance(header, bytes) and (found := parse_header(header)):
            yield found


def parse_header(header: bytes) -> Package | None:
    """As ``rpm -q`` writes it, with an epoch when there is one; None for what is no header."""
    if len(header) < _INDEX.size:
        return None
    count, _ = _INDEX.unpack_from(header)
    data = _INDEX.size + count * _ENTRY.size
    if data > len(header):
        return None
    values: dict[str, str] = {}
    for tag, kind, offset, _ in _ENTRY.iter_unpack(header[_INDEX.size : data]):
        if name := _TAGS.get(tag):
            values[name] = _value(header, kind, data + offset)
    version = "-".join(filter(None, (values.get("version"), values.get("release"))))
    epoch = values.get("epoch")
    return package(values.get("name", ""), f"{epoch}:{version}" if epoch else version)


def _value(header: bytes, kind: int, place: int) -> str:
    if kind == _INT32:
        return str(int.from_bytes(header[place : place + 4], "big"))
    if kind != _STRING:
        return ""
    return header[place : place + 1024].partition(b"\0")[0].decode("utf-8", "replace")
