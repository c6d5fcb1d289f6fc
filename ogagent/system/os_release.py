"""os-release(5), of this system or of another one."""

from __future__ import annotations

import platform
import shlex
from typing import Final

PLACES: Final = ("etc/os-release", "usr/lib/os-release")
"""Below the system's root; the first is usually a link to the second."""

ROOTS: Final = (".", "@", "root", "@rootfs")
"""Where a root may be in its file system: btrfs has that of Ubuntu and Arch, Fedora, Debian in a subvolume, which need
not be the default one.
"""


def system_name() -> str:
    """That of the running system: PRETTY_NAME, or the release of the kernel where there is none."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.release()


def members(text: str) -> dict[str, str]:
    """What cannot be read is empty."""
    lines = [line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {name.strip(): _unquoted(value) for name, value in lines}


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return ""
