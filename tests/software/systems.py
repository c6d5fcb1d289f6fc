"""Small systems, as their package managers leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STATUS: Final = """\
Package: zlib1g
Status: install ok installed
Priority: required
Version: 1:1.2.13.dfsg-1
Description: compression library
 Package: not-one
 .
 Version: 9

Package: bash
Status: install ok installed
Version: 5.2.15-2+b7

Package: gone
Status: deinstall ok config-files
Version: 1

Package: half
Status: install reinstreq half-installed
Version: 1

Package: bash
Status: install ok installed
Architecture: i386
Version: 5.2.15-2+b7
"""


def put(root: Path, path: str, content: str | bytes = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def debian(root: Path, status: str = STATUS) -> Path:
    put(root, "usr/lib/os-release", 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    (root / "etc").mkdir()
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    put(root, "var/lib/dpkg/status", status)
    return root
