"""The root of the live system: Debian with the Python packages that the agent needs, and without the agent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.machine import debian, disks, kept, venv
from tests.machine.tools import run

HERE: Final = Path(__file__).parent

_MIB: Final = 1024
_PACKAGES: Final = (
    "python3", "python3-venv", "fdisk", "libzstd1", "libudev1", "openssh-client", "efibootmgr", "grub-pc-bin",
    "grub2-common", "dosfstools", "udpcast", "busybox",
)  # fmt: skip
_ENABLED: Final = ("systemd-networkd.service", "systemd-networkd-wait-online.service")
_MASKED: Final = (
    *debian.LATER, "serial-getty@ttyS0.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
)  # fmt: skip
_FSTAB: Final = "LABEL=live / ext4 noatime 0 0\nLABEL=state /var/lib/ogagent ext4 noatime 0 0\n"
_NETWORK: Final = "[Match]\nName=en*\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n\n[DHCPv4]\nUseHostname=no\n"
_ROOM: Final = '[repository]\nca = "/etc/ogagent/ogcore.pem"\n\n[cache]\nrequired = false\n'
"""What the administrator of an ogLive has said in its configuration, before there is an agent."""
_NOT_IN_SQUASHED: Final = ("boot", "lost+found", "etc/fstab", venv.PLACE)


def recipe() -> kept.Recipe:
    code = [*(HERE / name for name in ("live_root.py", "oglive", "venv.py", "debian.py", "disks.py")), venv.LOCK]
    return kept.Recipe("live", tuple(kept.words_of(code)))


def base() -> Path:
    """Its directory: ``root.img``, and what ogBoot serves. Nobody writes to them."""
    return kept.kept(recipe(), _make)


def _make(folder: Path) -> None:
    disk = folder / "root.img"
    with disk.open("xb") as opened:
        opened.truncate(_MIB << 20)
    run("mke2fs", "-q", "-t", "ext4", "-L", "live", "-m", "0", disk)
    with disks.mounted(disk, folder / "root", "-o", "loop") as root:
        debian.debootstrap(root, "bookworm", _PACKAGES)
        debian.write(root, "etc/fstab", _FSTAB)
        debian.write(root, "etc/hostname", "live\n")
        debian.write(root, "etc/systemd/network/20-wired.network", _NETWORK)
        debian.write(root, "etc/systemd/journald.conf.d/volatile.conf", "[Journal]\nStorage=volatile\n")
        debian.inside(root, "systemctl", "--quiet", "enable", *_ENABLED)
        debian.inside(root, "systemctl", "--quiet", "mask", *_MASKED)
        debian.inside(root, "systemctl", "--quiet", "set-default", "multi-user.target")
        debian.put(HERE / "oglive", root)
        debian.inside(root, "update-initramfs", "-u")
        venv.make(root)
        debian.seem_used(root)
        debian.write(root, "etc/ogagent/ogagent.toml", _ROOM)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(next((root / "boot").glob(f"{name}-*")), folder / f"og{name}")
        packing = ["-comp", "lz4", "-no-progress", "-e", *_NOT_IN_SQUASHED]
        run("mksquashfs", root, folder / "ogclient.sqfs", *packing)
