"""Debian, Ubuntu and their kin: deb822(5), dpkg-query(1)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import Final

from ogagent.model.software import Package
from ogagent.software.found import SMALL, package
from ogagent.system.tree import Tree

_STATUS: Final = "var/lib/dpkg/status"
_PIECES: Final = "var/lib/dpkg/status.d"  # images without dpkg have a file a package
_LARGEST: Final = 32 << 20  # 3,000 packages take some 4 MiB
_WANTED: Final = (b"Package", b"Status", b"Version")
_LONGEST: Final = 1024
_INSTALLED: Final = "installed"


def dpkg(tree: Tree) -> Iterator[Package]:
    for name in tree.names(_PIECES):
        if not name.endswith(".md5sums") and (piece := tree.read(f"{_PIECES}/{name}", SMALL)):
            yield from parse_status(piece, assumed=_INSTALLED)
    if status := tree.read(_STATUS, _LARGEST):
        yield from parse_status(status)


def parse_status(content: bytes, assumed: str = "") -> Iterator[Package]:
    """``assumed`` is the state of a package that does not tell its own."""
    for fields in _paragraphs(content):
        state = fields.get(b"Status", assumed).split()
        found = package(fields.get(b"Package", ""), fields.get(b"Version", ""))
        if found and state and state[-1] == _INSTALLED:
            yield found


def _paragraphs(content: bytes) -> Iterator[dict[bytes, str]]:
    fields: dict[bytes, str] = {}
    for line in chain(io.BytesIO(content), (b"\n",)):
        name, _, value = line.partition(b":")
        if line.isspace():
            yield fields
            fields = {}
        elif name in _WANTED:
            fields[name] = value[:_LONGEST].decode("utf-8", "replace")
