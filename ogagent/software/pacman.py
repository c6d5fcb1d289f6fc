"""Arch Linux and its kin: a directory a package, with a file ``desc`` (libalpm/be_local.c)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from ogagent.model.software import Package
from ogagent.software.found import SMALL, package
from ogagent.system.tree import Tree

_LOCAL: Final = "var/lib/pacman/local"


def pacman(tree: Tree) -> Iterator[Package]:
    for name in tree.names(_LOCAL):
        description = tree.read(f"{_LOCAL}/{name}/desc", SMALL)
        if description and (found := parse_desc(description)):
            yield found


def parse_desc(content: bytes) -> Package | None:
    lines = content.decode("utf-8", "replace").splitlines()
    values = dict(pairwise(lines))
    return package(values.get("%NAME%", ""), values.get("%VERSION%", ""))
