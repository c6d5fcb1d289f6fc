"""The files of a restored system that lie in a plain directory: a twin of ``ogagent.finish.files.Files``.

Links are followed as that system would follow them. What was replaced is recorded.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Final

from ogagent.finish.files import LARGEST
from ogagent.system.tree import TooLarge

_MOST_LINKS: Final = 40


class Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.replaced: list[str] = []

    def read(self, path: str, limit: int = LARGEST) -> bytes | None:
        place = self._found(path)
        if place is None or not place.is_file():
            return None
        if place.stat().st_size > limit:
            raise TooLarge(path, f"{limit} bytes")
        return place.read_bytes()

    def link(self, path: str) -> str | None:
        place = self._own(path)
        return str(place.readlink()) if place is not None and place.is_symlink() else None

    def names(self, path: str) -> list[str]:
        place = self._found(path)
        return sorted(each.name for each in place.iterdir()) if place is not None and place.is_dir() else []

    def find(self, *names: str) -> str | None:
        path = ""
        for name in names:
            found = next((each for each in self.names(path) if each.lower() == name.lower()), None)
            if found is None:
                return None
            path = f"{path}/{found}" if path else found
        return path

    def replace(self, path: str, content: bytes, mode: int = 0o644) -> None:
        place = self._made(path)
        if place.exists():
            mode = place.stat().st_mode & 0o7777
        part = place.with_name(f".{place.name}.part")
        part.write_bytes(content)
        part.chmod(mode)
        part.rename(place)
        self.replaced.append(path)

    def end(self, path: str, length: int) -> bytes | None:
        place = self._found(path)
        content = place.read_bytes() if place is not None and place.is_file() else None
        return None if content is None else content[max(len(content) - length, 0) :]

    def append(self, path: str, content: bytes, aligned: int) -> None:
        old = self._made(path).read_bytes()
        self.replace(path, old + bytes(-len(old) % aligned) + content)

    def make_link(self, path: str, to: str) -> None:
        place = self._made(path, follow=False)
        place.unlink(missing_ok=True)
        place.symlink_to(to)

    def remove(self, path: str) -> None:
        place = self._own(path)
        if place is not None:
            place.unlink(missing_ok=True)

    def _own(self, path: str) -> Path | None:
        """The place that has the path itself, be it a link or nothing."""
        folder = self._found(_folder(path))
        return None if folder is None else folder / PurePath(path).name

    def _made(self, path: str, *, follow: bool = True) -> Path:
        place = self._found(path) if follow else None
        if place is None:
            folder = self._made_folder(_folder(path))
            place = folder / PurePath(path).name
        return place

    def _made_folder(self, path: str) -> Path:
        found = self._found(path)
        if found is None:
            found = self._made_folder(_folder(path)) / PurePath(path).name
            found.mkdir()
        return found

    def _found(self, path: str) -> Path | None:
        """Where the path leads to, when something is there."""
        place, rest, links = self._root, path.split("/"), 0
        while rest:
            name = rest.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                place = place if place == self._root else place.parent
                continue
            place /= name
            if place.is_symlink():
                to, links = str(place.readlink()), links + 1
                if links > _MOST_LINKS:
                    return None
                place = self._root if to.startswith("/") else place.parent
                rest = [*to.split("/"), *rest]
        return place if place.exists() else None


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
