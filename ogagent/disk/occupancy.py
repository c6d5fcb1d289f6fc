"""What holds a block device: a mount, a swap, or a volume that is built on it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

SWAP: Final = "[SWAP]"
_SYSFS_BLOCK: Final = Path("/sys/block")


class Mount(Struct, frozen=True):
    """One line of mountinfo. ``device`` is MAJ:MIN; ``root`` the directory of the file system that is mounted."""

    device: str
    root: str
    mount_point: str
    source: str


def read_occupants() -> dict[int, str]:
    """By device number, what mounts and swaps hold: a mount point, ``[SWAP]``, ``[loop0]``. Blocking."""
    mounts = parse_mountinfo(os.fsdecode(Path("/proc/self/mountinfo").read_bytes()))
    swaps = []
    with suppress(FileNotFoundError):  # a kernel that knows no swap
        swaps = parse_swaps(os.fsdecode(Path("/proc/swaps").read_bytes()))
    found: dict[int, str] = {}
    for mount in sorted(mounts, key=lambda mount: mount.root != "/"):  # a bind mount of a part is the last to be named
        found.setdefault(_device_number(mount), mount.mount_point)
    for path in swaps:
        found.setdefault(block_device_number(path) or 0, SWAP)
    for loop, path in _loops():
        found.setdefault(block_device_number(path) or 0, f"[{loop}]")
    found.pop(0, None)
    return found


def read_holder(sysfs: Path) -> str | None:
    """``[dm-0]`` or ``[md0]`` for a block device, given by its sysfs directory, that such a volume is built on."""
    with suppress(OSError):
        holders = sorted(holder.name for holder in (sysfs / "holders").iterdir())
        return f"[{holders[0]}]" if holders else None
    return None


def block_device_number(path: str) -> int | None:
    """None when there is no such block device."""
    with suppress(OSError, ValueError):
        status = Path(path).stat()
        return status.st_rdev if stat.S_ISBLK(status.st_mode) else None
    return None


def parse_mountinfo(text: str) -> list[Mount]:
    """proc_pid_mountinfo(5): an open number of optional fields, then ``-``, then type, source and options."""
    mounts = []
    for line in text.split("\n"):  # what else ends a line for Python may stand in the name of a mount point
        fields = line.split(" ")
        with suppress(ValueError, IndexError):
            source = fields[fields.index("-", 6) + 2]
            mounts.append(Mount(fields[2], _unescaped(fields[3]), _unescaped(fields[4]), _unescaped(source)))
    return mounts


def parse_swaps(text: str) -> list[str]:
    """proc_swaps(5): a line of headings, then a path and its figures on each line."""
    return [_unescaped(re.split("[ \t]", line)[0]) for line in text.split("\n")[1:] if line]


def _unescaped(field: str) -> str:
    """The kernel writes space, tab, newline and backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _device_number(mount: Mount) -> int:
    major, _, minor = mount.device.partition(":")
    if major != "0":
        with suppress(ValueError, OverflowError):
            return os.makedev(int(major), int(minor))
    # btrfs gives each subvolume a number of its own that names no device; the source does.
    return block_device_number(mount.source) or 0


def _loops() -> Iterable[tuple[str, str]]:
    """Loop devices and what they are made of; one made of a partition holds it, and no kernel interface says so."""
    for backing in _SYSFS_BLOCK.glob("loop*/loop/backing_file"):
        with suppress(OSError):
            yield backing.parts[3], os.fsdecode(backing.read_bytes()).rstrip("\n")
