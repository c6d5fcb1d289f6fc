"""The agent put into the image of an ogLive: unpacked, installed in a root of its own, packed again as it was."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import NotAdded, ToolFailed
from ogagent.oglive.entries import entries, lost
from ogagent.oglive.namespace import is_wholly_root
from ogagent.settings_text import rewritten
from ogagent.system import process
from ogagent.system.private_view import in_private_view

_FOLDER: Final = "etc/ogagent"
_SETTINGS: Final = f"{_FOLDER}/ogagent.toml"
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_ATTRIBUTES: Final = re.compile(r"^Number of xattr ids [1-9]", re.MULTILINE)
_NEEDED: Final = ("proc", "dev", "etc", "usr", "var/lib/dpkg")
_LONG_S: Final = 3600.0
_SHORT_S: Final = 60.0
_QUIETLY: Final = {"DEBIAN_FRONTEND": "noninteractive"}
_NOT_ALL: Final = (0, 2)
"""Of unsquashfs: what only root can make is not there, and mksquashfs is told of it."""


class Identity(Struct, frozen=True):
    """PEM files: what an agent shows to its callers, the same on all PCs."""

    certificate: Path
    key: Path


class Addition(Struct, frozen=True):
    """``ca`` None: the system's store vouches for ogCore; ``ogcore`` empty: what the image says stays; ``identity``
    None: each agent makes its own.
    """

    deb: Path
    ogcore: str = ""
    ca: Path | None = None
    identity: Identity | None = None


async def add(image: Path, addition: Addition, say: Callable[[str], None]) -> None:
    """The image has the agent, and its sum beside it is that of the new one; the old image stays as ``.ant``. Until all
    is well nothing is changed. By root, or in a user namespace. Raises NotAdded, ToolMissing and ToolFailed.
    """
    about = await _about(image)
    packing = _packing(image, about)
    listed = await entries(image)
    whole = is_wholly_root()
    if not whole and _ATTRIBUTES.search(about):
        say("the image has extended attributes: squashfs-tools before 4.6 keep only those of root's own files")
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=f".{image.name}-") as folder:
        root, packed, definitions = Path(folder, "root"), Path(folder, "packed"), Path(folder, "definitions")
        say(f"unpacking {image}")
        unpack = ["unsquashfs", "-no-progress", "-dest", str(root), str(image)]
        await process.run(unpack, timeout_s=_LONG_S, good=(0,) if whole else _NOT_ALL)
        say(f"installing {addition.deb.name}")
        await in_private_view(lambda: _install(root, addition, say))
        say(f"packing with {' '.join(packing)}")
        _write(definitions, lost(listed, root))
        pack = ["mksquashfs", str(root), str(packed), "-noappend", "-no-progress", "-pf", str(definitions), *packing]
        await process.run(pack, timeout_s=_LONG_S)
        _replace(image, packed)
    say(f"{image} has the agent; the one before is {image.name}.ant")


async def add_to_tree(tree: Path, addition: Addition, say: Callable[[str], None]) -> None:
    """The same for an ogLive whose root is a directory, which is replaced as a whole. By root. Raises as ``add``."""
    before = tree.with_name(f"{tree.name}.ant")
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=f".{tree.name}-") as folder:
        root = Path(folder, "root")
        say(f"copying {tree}")
        await process.run(["cp", "--archive", "--reflink=auto", str(tree), str(root)], timeout_s=_LONG_S)
        say(f"installing {addition.deb.name}")
        await in_private_view(lambda: _install(root, addition, say))
        _exchange(tree, root, before, Path(folder, "older"))
    say(f"{tree} has the agent; the one before is {before.name}")


async def _about(image: Path) -> str:
    try:
        return (await process.run(["unsquashfs", "-stat", str(image)], timeout_s=_SHORT_S)).decode(errors="replace")
    except ToolFailed as error:
        raise NotAdded(f"{image} is no SquashFS: {error.message}", hint="it has to be an ogclient.sqfs") from error


def _packing(image: Path, about: str) -> list[str]:
    """The options that pack it as it was."""
    found = [re.search(rf"^{words} (\w+)$", about, re.MULTILINE) for words in ("Compression", "Block size")]
    if None in found:
        raise NotAdded(f"unsquashfs does not say how {image} is compressed")
    kind, size = (each[1] for each in found if each)
    return ["-comp", kind, "-b", size]


async def _install(root: Path, addition: Addition, say: Callable[[str], None]) -> None:
    """dpkg, and not apt: what the agent depends on has to be in the image, for nothing is fetched."""
    if missing := [each for each in _NEEDED if not (root / each).is_dir()]:
        raise NotAdded(f"this is no ogLive: it has no /{missing[0]}", hint="it has to be an ogclient.sqfs, or its root")
    brought = root / addition.deb.name
    shutil.copy(addition.deb, brought)
    try:
        async with _surroundings(root):
            chroot = ["chroot", str(root)]
            install = [*chroot, "dpkg", "--force-confold", "--install", f"/{addition.deb.name}"]
            said = await process.run(install, timeout_s=_LONG_S, variables=_QUIETLY)
            _tell(root, addition)
            said += await process.run([*chroot, "ogagent", "config", "--check", f"/{_SETTINGS}"], timeout_s=_SHORT_S)
            say(said.decode(errors="replace").strip())
    finally:
        brought.unlink()


def _tell(root: Path, addition: Addition) -> None:
    """Keys belong to root alone; whoever can read the image can read them all the same."""
    ogcore: dict[str, str | int] = {"url": addition.ogcore} if addition.ogcore else {}
    server: dict[str, str | int] = {}
    if addition.ca:
        ogcore["ca"] = _bring(addition.ca, root, "ogcore.pem")
    if addition.identity:
        server["certificate"] = _bring(addition.identity.certificate, root, "agent.pem")
        server["key"] = _bring(addition.identity.key, root, "agent.key", mode=0o600)
    settings = root / _SETTINGS
    text = settings.read_text(encoding="utf-8")
    for section, members in (("ogcore", ogcore), ("server", server)):
        text = rewritten(text, section, members) if members else text
    settings.write_text(text, encoding="utf-8")


def _bring(file: Path, root: Path, name: str, mode: int = 0o644) -> str:
    """Where it lies in there."""
    place = root / _FOLDER / name
    place.touch(mode)
    place.chmod(mode)
    place.write_bytes(file.read_bytes())
    return f"/{_FOLDER}/{name}"


@asynccontextmanager
async def _surroundings(root: Path) -> AsyncIterator[None]:
    """/proc, and the devices that scripts write to. Seen by nobody else, and gone with the view of the mounts at the
    latest; what an image has in these places stays.
    """
    async with _mounted(root / "proc", "-t", "proc", "proc"), _mounted(root / "dev", "-t", "tmpfs", "devices"):
        for name in _DEVICES:
            (root / "dev" / name).touch()
            await process.run(["mount", "--bind", f"/dev/{name}", str(root / "dev" / name)], timeout_s=_SHORT_S)
        yield


@asynccontextmanager
async def _mounted(place: Path, *what: str) -> AsyncIterator[None]:
    await process.run(["mount", *what, str(place)], timeout_s=_SHORT_S)
    try:
        yield
    finally:
        await process.run(["umount", "--recursive", str(place)], timeout_s=_SHORT_S)


def _write(definitions: Path, lines: Iterable[str]) -> None:
    definitions.write_bytes(b"".join(os.fsencode(f"{line}\n") for line in lines))


def _exchange(tree: Path, root: Path, before: Path, older: Path) -> None:
    if before.exists():
        before.rename(older)
    tree.rename(before)
    root.rename(tree)


def _replace(image: Path, packed: Path) -> None:
    """The sum as OpenGnsys has it for what it boots: MD5 of the whole file, in hexadecimal, and a line end."""
    with packed.open("rb") as opened:
        digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        os.fsync(opened.fileno())
    packed.chmod(image.stat().st_mode & 0o777)
    before = image.with_name(f"{image.name}.ant")
    before.unlink(missing_ok=True)
    before.hardlink_to(image)
    packed.replace(image)
    image.with_name(f"{image.name}.sum").write_text(f"{digest}\n", encoding="utf-8")
