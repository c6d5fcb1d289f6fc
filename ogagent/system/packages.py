"""Which of Debian's packages brings a program, for whoever misses it."""

from __future__ import annotations

from typing import Final

PACKAGES: Final = {
    "btrfs": "btrfs-progs",
    "busctl": "systemd",
    "chroot": "coreutils",
    "cp": "coreutils",
    "debugfs": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "e2undo": "e2fsprogs",
    "efibootmgr": "efibootmgr",
    "hivexregedit": "libwin-hivex-perl",
    "grub-install": "grub2-common grub-pc-bin",
    "kexec": "kexec-tools",
    "losetup": "mount",
    "mke2fs": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.exfat": "exfatprogs",
    "mkfs.f2fs": "f2fs-tools",
    "mkfs.ntfs": "ntfs-3g",
    "mkfs.vfat": "dosfstools",
    "mkfs.xfs": "xfsprogs",
    "mksquashfs": "squashfs-tools",
    "mkswap": "util-linux",
    "mount": "mount",
    "ntfs-3g": "ntfs-3g",
    "ntfsfix": "ntfs-3g",
    "ntfsresize": "ntfs-3g",
    "prlimit": "util-linux",
    "resize.f2fs": "f2fs-tools",
    "resize2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "setpriv": "util-linux",
    "systemctl": "systemd",
    "udp-receiver": "udpcast",
    "uftpd": "uftp",
    "umount": "mount",
    "unshare": "util-linux",
    "unsquashfs": "squashfs-tools",
    "xfs_growfs": "xfsprogs",
}
"""All that is called; partclone's programs are many, and stand for themselves."""


def package_of(program: str) -> str:
    """By the program's bare name; empty for one that is not called from here."""
    return "partclone" if program.startswith("partclone.") else PACKAGES.get(program, "")
