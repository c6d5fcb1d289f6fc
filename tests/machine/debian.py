"""Roots of Debian, made from its packages, and what is done in one before it runs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.machine.disks import mounted
from tests.machine.tools import run

MIRROR: Final = "http://deb.debian.org/debian"
BASE: Final = (
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "zstd",
    "iproute2",
    "e2fsprogs",
)
LATER: Final = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "e2scrub_reap.service", "systemd-pstore.service", "systemd-tmpfiles-clean.timer", "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount", "getty@tty1.service",
)  # fmt: skip
"""Work that keeps an emulated machine busy while it starts."""
_LEFT_OUT: Final = ("man", "doc", "locale", "info", "lintian", "bug")
_DRIVERS_LEFT_OUT: Final = (
    "fs/nfs", "fs/nfsd", "fs/smb", "fs/btrfs", "fs/xfs", "fs/ceph", "net/netfilter", "net/sched", "net/sunrpc",
    "drivers/comedi", "drivers/hid", "drivers/infiniband", "drivers/md", "drivers/net/ethernet", "drivers/scsi",
    "drivers/target", "sound",
)  # fmt: skip
"""What no PC here has need not be written to each of them."""
_NODES: Final = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}


def debootstrap(root: Path, suite: str, packages: Sequence[str], resume: str = "") -> None:
    """``resume``: the swap space that the initramfs waits for, as the installer tells it."""
    root.mkdir(exist_ok=True)
    command: list[str | Path] = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    command += [f"--dpkgopt=path-exclude={usr}/lib/udev/hwdb.d/*" for usr in ("", "/usr")]
    for name in _DRIVERS_LEFT_OUT:
        command += [f"--dpkgopt=path-exclude={usr}/lib/modules/*/kernel/{name}/*" for usr in ("", "/usr")]
    if resume:
        at = '"$1"/etc/initramfs-tools/conf.d'
        command.append(f"--essential-hook=mkdir -p {at} && echo RESUME=UUID={resume} > {at}/resume")
    run(*command, f"--include={','.join([*BASE, *packages])}", suite, root, MIRROR)


def put(files: Path, root: Path) -> None:
    """A tree of files over that of a system, all of them root's."""
    for file in sorted(files.rglob("*")):
        if file.is_file():
            at = root / file.relative_to(files)
            at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, at)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def seem_used(root: Path) -> None:
    """It has no caches to make anew when it starts: ConditionNeedsUpdate= in systemd.unit(5). To come last."""
    for stamp in ("etc/.updated", "var/.updated"):
        write(root, stamp, "")


def inside(root: Path, *command: str | Path) -> str:
    return run("chroot", root, *command)


@contextmanager
def devices(root: Path, *shown: str, uuids: dict[str, str] | None = None) -> Iterator[None]:
    """What programs look for in a system that does not run: /proc, /sys, and a /dev with nothing in it but ``shown``.

    ``uuids``: what udev would show of them.
    """
    with ExitStack() as stack:
        stack.enter_context(mounted("proc", root / "proc", "-t", "proc"))
        stack.enter_context(mounted("sysfs", root / "sys", "-t", "sysfs", "-o", "ro"))
        dev = stack.enter_context(mounted("dev", root / "dev", "-t", "tmpfs", "-o", "mode=755"))
        for name, (major, minor) in _NODES.items():
            os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        for device in shown:
            os.mknod(dev / Path(device).name, stat.S_IFBLK | 0o600, Path(device).stat().st_rdev)
        (dev / "disk/by-uuid").mkdir(parents=True)
        for uuid, device in (uuids or {}).items():
            (dev / "disk/by-uuid" / uuid).symlink_to(f"../../{Path(device).name}")
        yield
