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
    "grub2-common", "dosfstools", "udpcast",
)  # fmt: skip
_ENABLED: Final = ("systemd-networkd.service", "systemd-networkd-wait-online.service")
_MASKED: Final = (
    *debian.LATER, "serial-getty@ttyS0.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
)  # fmt: skip
_FSTAB: Final = "LABEL=live / ext4 noatime 0 0\nLABEL=state /var/lib/ogagent ext4 noatime 0 0\n"
_NETWORK: Final = "[Match]\nName=en*\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n\n[DHCPv4]\nUseHostname=no\n"
_INITRAMFS: Final = {"conf.d/small": "MODULES=list\nBUSYBOX=n\n", "modules": "virtio_pci\nvirtio_blk\next4\n"}


def recipe() -> kept.Recipe:
    code = [*(HERE / name for name in ("live_root.py", "venv.py", "debian.py", "disks.py")), venv.LOCK]
    return kept.Recipe("live", tuple(kept.words_of(code)))


def base() -> Path:
    """Its directory: ``root.img``, ``vmlinuz`` and ``initrd.img``. Nobody writes to them."""
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
        for name, text in _INITRAMFS.items():
            debian.write(root, f"etc/initramfs-tools/{name}", text)
        debian.inside(root, "update-initramfs", "-u")
        venv.make(root)
        debian.seem_used(root)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(next((root / "boot").glob(f"{name}-*")), folder / name)
