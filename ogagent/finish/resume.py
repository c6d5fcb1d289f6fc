"""Where a Linux looks at its start for what it put aside when it was sent to sleep: a swap of the model, half a minute
long, unless it is told of this machine's.

``update-initramfs`` would have to run inside the image. What the kernel unpacks may be several archives, and a file in
a later one counts (linux/Documentation/driver-api/early-userspace/buffer-format.rst): so a small one is put behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ogagent.finish.files import Edit, Files, Tail
from ogagent.finish.place import Place

_SETTING: Final = "etc/initramfs-tools/conf.d/resume"
_IMAGES: Final = re.compile(r"initrd\.img-.*|initramfs-.*\.img")
_IN_DEBIAN: Final = "conf/conf.d/zzz-ogagent"
"""initramfs-tools reads all of this directory, the last file last: initramfs-tools(7), ``init``."""
_IN_DRACUT: Final = "etc/cmdline.d/99-ogagent.conf"
"""dracut.cmdline(7)."""
_ALIGNED: Final = 4


def resume_edits(files: Files, place: Place) -> Iterator[Edit | Tail]:
    """Nothing for a system that resumes from what is on this machine, or has no initramfs that would look."""
    debian, dracut = bool(files.names("etc/initramfs-tools")), bool(files.names("usr/lib/dracut"))
    wanted = f"UUID={place.swap.uuid}" if place.swap else "none"
    setting = files.read(_SETTING)
    if setting is not None and _outside(setting.decode("utf-8", "replace"), place):
        yield Edit(path=_SETTING, content=f"RESUME={wanted}\n".encode())
    if debian:
        behind = archive({_IN_DEBIAN: f"RESUME={wanted}\n".encode()})
    elif dracut:
        text = f"resume={wanted}\n" if place.swap else "noresume\n"
        behind = archive({_IN_DRACUT: text.encode()})
    else:
        return
    for name in files.names("boot"):
        if _IMAGES.fullmatch(name) and files.end(f"boot/{name}", 1):
            yield Tail(path=f"boot/{name}", content=behind, aligned=_ALIGNED)


def _outside(setting: str, place: Place) -> bool:
    """Whether it names what this machine does not have."""
    found = re.search(r"^\s*RESUME=\"?(?:UUID=)?([^\s\"]+)", setting, re.MULTILINE)
    return found is not None and found[1] not in ("none", "auto", *(each.uuid for each in place.volumes if each.swap))


def archive(files: dict[str, bytes]) -> bytes:
    """cpio(5), "New ASCII Format", uncompressed, directories first; as long as the kernel wants it to be."""
    folders = {name.rpartition("/")[0] for name in files}
    entries = [(each, 0o040755, b"") for each in sorted({up for folder in folders for up in _above(folder)})]
    entries += [(name, 0o100644, content) for name, content in files.items()]
    packed = b"".join(_entry(at, *entry) for at, entry in enumerate((*entries, ("TRAILER!!!", 0, b"")), start=1))
    return packed + bytes(-len(packed) % 512)


def _above(folder: str) -> Iterator[str]:
    parts = folder.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _entry(inode: int, name: str, mode: int, content: bytes) -> bytes:
    numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return head + bytes(-len(head) % _ALIGNED) + content + bytes(-len(content) % _ALIGNED)
