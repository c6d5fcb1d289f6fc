"""The agent put into the image of an ogLive: unpacked, installed in a root of its own, packed again as it was."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import NotAdded, ToolFailed
from ogagent.settings_text import rewritten
from ogagent.system import process
from ogagent.system.private_view import in_private_view

_SETTINGS: Final = "etc/ogagent/ogagent.toml"
_CA: Final = "etc/ogagent/ogcore.pem"
_LONG_S: Final = 3600.0
_SHORT_S: Final = 60.0
_QUIETLY: Final = {"DEBIAN_FRONTEND": "noninteractive"}


class Addition(Struct, frozen=True):
    """``ca`` None: the system's store vouches for ogCore; ``ogcore`` empty: what the image says stays."""

    deb: Path
    ogcore: str = ""
    ca: Path | None = None


async def add(image: Path, addition: Addition, say: Callable[[str], None]) -> None:
    """The image has the agent, and its sum beside it is that of the new one; the old image stays as ``.ant``. Until all
    is well nothing is changed. Raises NotAdded, ToolMissing and ToolFailed.
    """
    if os.geteuid() != 0:
        raise NotAdded("only root can keep the owners of an image's files", hint="run it as root")
    packing = await _packing(image)
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=f".{image.name}-") as folder:
        root, packed = Path(folder, "root"), Path(folder, "packed")
        say(f"unpacking {image}")
        await process.run(["unsquashfs", "-no-progress", "-dest", str(root), str(image)], timeout_s=_LONG_S)
        say(f"installing {addition.deb.name}")
        await in_private_view(lambda: _install(root, addition, say))
        say(f"packing with {' '.join(packing)}")
        pack = ["mksquashfs", str(root), str(packed), "-noappend", "-no-progress", *packing]
        await process.run(pack, timeout_s=_LONG_S)
        _replace(image, packed)
    say(f"{image} has the agent; the one before is {image.name}.ant")


async def _packing(image: Path) -> list[str]:
    """The options that pack it as it was, by what ``unsquashfs -stat`` prints."""
    try:
        said = (await process.run(["unsquashfs", "-stat", str(image)], timeout_s=_SHORT_S)).decode(errors="replace")
    except ToolFailed as error:
        raise NotAdded(f"{image} is no SquashFS: {error.message}", hint="it has to be an ogclient.sqfs") from error
    found = [re.search(rf"^{words} (\w+)$", said, re.MULTILINE) for words in ("Compression", "Block size")]
    if None in found:
        raise NotAdded(f"unsquashfs does not say how {image} is compressed")
    kind, size = (each[1] for each in found if each)
    return ["-comp", kind, "-b", size]


async def _install(root: Path, addition: Addition, say: Callable[[str], None]) -> None:
    """dpkg, and not apt: what the agent depends on has to be in the image, for nothing is fetched."""
    brought = root / addition.deb.name
    shutil.copy(addition.deb, brought)
    try:
        async with _proc(root):
            chroot = ["chroot", str(root)]
            install = [*chroot, "dpkg", "--force-confold", "--install", f"/{addition.deb.name}"]
            said = await process.run(install, timeout_s=_LONG_S, variables=_QUIETLY)
            _tell(root, addition)
            said += await process.run([*chroot, "ogagent", "config", "--check", f"/{_SETTINGS}"], timeout_s=_SHORT_S)
            say(said.decode(errors="replace").strip())
    finally:
        brought.unlink()


def _tell(root: Path, addition: Addition) -> None:
    members: dict[str, str | int] = {}
    if addition.ogcore:
        members["url"] = addition.ogcore
    if addition.ca:
        shutil.copy(addition.ca, root / _CA)
        members["ca"] = f"/{_CA}"
    if members:
        settings = root / _SETTINGS
        text = settings.read_text(encoding="utf-8")
        settings.write_text(rewritten(text, "ogcore", members), encoding="utf-8")


@asynccontextmanager
async def _proc(root: Path) -> AsyncIterator[None]:
    """Seen by nobody else, and gone with the view of the mounts at the latest."""
    place = str(root / "proc")
    await process.run(["mount", "-t", "proc", "proc", place], timeout_s=_SHORT_S)
    try:
        yield
    finally:
        await process.run(["umount", place], timeout_s=_SHORT_S)


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
