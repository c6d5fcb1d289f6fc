"""The name that this machine was given: on the kernel command line, or by DHCP. Blocking.

Sources: ``ip=`` of linux/Documentation/admin-guide/nfs/nfsroot.rst; ``systemd.hostname=`` of kernel-command-line(7);
``/run/net-IF.conf`` of klibc's ipconfig, by which initramfs-tools and ogLive set up the network; the leases of
systemd-networkd, ``/run/systemd/netif/leases``; dhclient.leases(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from ogagent.model.host_name import is_host_name

_OF_NOBODY: Final = ("localhost", "oglive", "debian", "ubuntu", "live", "(none)", "")
_LARGEST: Final = 64 << 10
_HOST_FIELD: Final = 4


def given_name(root: Path = Path("/")) -> str:
    """Empty when nobody has given it one. ``root`` is where ``proc``, ``run`` and ``var`` are."""
    names = (name.strip().partition(".")[0] for name in _names(root))
    return next((name for name in names if name.lower() not in _OF_NOBODY and is_host_name(name)), "")


def _names(root: Path) -> Iterator[str]:
    yield from _on_command_line(_text(root / "proc/cmdline"))
    for file in sorted(root.glob("run/net-*.conf")):
        yield from re.findall(r"^HOSTNAME=['\"]?([^'\"\n]+)", _text(file), re.MULTILINE)
    for file in sorted(root.glob("run/systemd/netif/leases/*")):
        yield from re.findall(r"^HOSTNAME=(.+)$", _text(file), re.MULTILINE)
    for file in sorted((*root.glob("var/lib/dhcp/*.leases"), *root.glob("run/dhclient*.leases"))):
        yield from reversed(re.findall(r"^\s*option host-name \"([^\"]+)\";", _text(file), re.MULTILINE))
    yield _text(root / "proc/sys/kernel/hostname")


def _on_command_line(text: str) -> Iterator[str]:
    words = [word.partition("=") for word in reversed(text.split())]
    for wanted in ("systemd.hostname", "hostname", "HOSTNAME"):
        yield from (value for name, _, value in words if name == wanted)
    for name, _, value in words:
        fields = value.split(":")
        if name == "ip" and len(fields) > _HOST_FIELD:
            yield fields[_HOST_FIELD]


def _text(file: Path) -> str:
    with suppress(OSError), file.open("rb") as opened:
        return opened.read(_LARGEST).decode("utf-8", "replace")
    return ""
