"""Programs that bring all they need: snaps and flatpaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ogagent.model.software import Package
from ogagent.software.found import SMALL, package
from ogagent.system.tree import Tree

_SNAPS: Final = "var/lib/snapd/snaps"
_SNAP: Final = re.compile(r"(?P<name>[^_]+(_[^_]+)?)_(?P<revision>x?[0-9]+)\.snap")
_FLATPAKS: Final = "var/lib/flatpak/app"
_ABOUT: Final = ("metainfo/{}.metainfo.xml", "appdata/{}.appdata.xml")
_RELEASE: Final = re.compile(rb"""<release\s[^>]*?\bversion\s*=\s*["']([^"'<>]{1,100})["']""")


def snaps(tree: Tree) -> Iterator[Package]:
    """With the revision: the version lies inside the snap. Older revisions are kept beside the newest."""
    newest: dict[str, str] = {}
    for file in tree.names(_SNAPS):
        if found := _SNAP.fullmatch(file):
            name, revision = found["name"], found["revision"]
            newest[name] = max(newest.get(name, ""), revision, key=_age)
    yield from filter(None, (package(name, revision) for name, revision in newest.items()))


def _age(revision: str) -> tuple[int, str]:
    return len(revision), revision


def flatpaks(tree: Tree) -> Iterator[Package]:
    for name in tree.names(_FLATPAKS):
        if found := package(name, _flatpak_version(tree, name)):
            yield found


def _flatpak_version(tree: Tree, name: str) -> str:
    """The newest release comes first (AppStream)."""
    for about in _ABOUT:
        described = tree.read(f"{_FLATPAKS}/{name}/current/active/files/share/{about.format(name)}", SMALL)
        if described and (release := _RELEASE.search(described)):
            return release[1].decode("utf-8", "replace")
    return ""
