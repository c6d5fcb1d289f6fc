"""Model PCs: Debian as somebody has installed it, with all that makes a clone of it fail.

Its fstab and its first files name swap space, ESP and data of that one PC; name, machine id and SSH keys are that PC's.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from tests.machine import debian, disks, kept, venv
from tests.machine.disks import Layout, Part
from tests.machine.tools import run

HERE: Final = Path(__file__).parent
USER: Final = "alumno"
PASSWORD: Final = "classroom"
Firmware = Literal["bios", "uefi"]

_LOADERS: Final[dict[Firmware, tuple[str, ...]]] = {
    "bios": ("grub-pc",),
    "uefi": ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed"),
}
_FOR_AGENT: Final = ("python3", "python3-venv", "libpam-systemd", "login")
_SHELL: Final = ("--shell", "/bin/bash")
_HASH: Final = "$6$classroom$X/Wigsg74j2w.ab8CZYvN/iF/8EKMeKgP7O35mt2aTXIy..KOyW1Xnytcit0lzYgpYrxDpVMTK9pCmykS2nME/"
"""Of ``PASSWORD``, as crypt(5) writes SHA-512."""
_ENABLED: Final = ("systemd-networkd.service", "systemd-networkd-wait-online.service", "ssh.service", "report.service")
_GRUB: Final = """GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=ttyS0 loglevel=4 mitigations=off"
GRUB_TERMINAL=console
"""


class Model(Struct, frozen=True):
    """``has_agent``: whether there is all that an agent of the installed system needs, and somebody who can log in. The
    agent itself is put there later, as it is then.
    """

    name: str
    suite: str
    firmware: Firmware
    layout: Layout
    machine_id: str
    has_agent: bool = False

    @property
    def root(self) -> Part:
        found = self.layout.one("root")
        assert found is not None
        return found

    @property
    def recipe(self) -> kept.Recipe:
        code = [HERE / name for name in ("model", "models.py", "debian.py", "disks.py")]
        if self.has_agent:
            code += [HERE / "venv.py", venv.LOCK]
        return kept.Recipe(self.name, (repr(self), *kept.words_of(code)))

    def disk(self) -> Path:
        """Nobody writes to it."""
        return kept.kept(self.recipe, self._make) / "disk.img"

    @property
    def _packages(self) -> tuple[str, ...]:
        return ("openssh-server", *_LOADERS[self.firmware], *(_FOR_AGENT if self.has_agent else ()))

    def _make(self, folder: Path) -> None:
        disk = folder / "disk.img"
        disks.make_disk(disk, self.layout, empty_root=False)
        with disks.attached(disk) as device:
            partition = f"{device}p{self.root.number}"
            with disks.mounted(partition, folder / "root") as root:
                swap = self.layout.one("swap")
                debian.debootstrap(root, self.suite, self._packages, swap.uuid if swap else "")
                self._settle(root)
                if self.has_agent:
                    venv.make(root)
                    debian.inside(root, "useradd", "--create-home", "--password", _HASH, *_SHELL, USER)
                with debian.devices(root, device, partition, uuids={self.root.uuid: partition}):
                    if self.firmware == "bios":
                        debian.inside(root, "grub-install", "--target=i386-pc", device)
                    debian.inside(root, "update-grub")
                debian.seem_used(root)
                if self.firmware == "uefi":
                    self._fill_esp(disk, root)
        shutil.rmtree(folder / "root")

    def _settle(self, root: Path) -> None:
        debian.put(HERE / "model", root)
        debian.write(root, "etc/fstab", "".join(f"{line}\n" for line in self._fstab()))
        debian.write(root, "etc/hostname", f"{self.name}\n")
        debian.write(
            root, "etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{self.name}.classroom.example\t{self.name}\n"
        )
        debian.write(root, "etc/default/grub", _GRUB)
        for path in ("etc/machine-id", "var/lib/dbus/machine-id"):
            debian.write(root, path, f"{self.machine_id}\n")
        debian.inside(root, "systemctl", "--quiet", "enable", *_ENABLED)
        debian.inside(root, "systemctl", "--quiet", "mask", *debian.LATER)
        debian.inside(root, "systemctl", "--quiet", "set-default", "multi-user.target")

    def _fstab(self) -> list[str]:
        rows = {
            "root": ("/", "ext4", "errors=remount-ro 0 1"),
            "swap": ("none", "swap", "sw 0 0"),
            "esp": ("/boot/efi", "vfat", "umask=0077 0 1"),
            "data": ("/srv", "ext4", "defaults 0 2"),
        }
        parts = [part for part in self.layout.parts if part.content in rows]
        return [f"UUID={_shown(part)} {' '.join(rows[part.content])}" for part in parts]

    def _fill_esp(self, disk: Path, root: Path) -> None:
        """What grub-install does, which wants to see a FAT that is mounted: kernels without FAT have to do."""
        esp = self.layout.one("esp")
        assert esp is not None
        shutil.copytree(root / "usr/lib/grub/x86_64-efi", root / "boot/grub/x86_64-efi")
        (root / "boot/efi").mkdir(exist_ok=True)
        stub = root.parent / "grub.cfg"
        stub.write_text(_STUB.format(uuid=self.root.uuid, hint=f"hd0,gpt{self.root.number}"), encoding="utf-8")
        files = {
            "debian/shimx64.efi": root / "usr/lib/shim/shimx64.efi.signed",
            "debian/grubx64.efi": root / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
            "debian/mmx64.efi": root / "usr/lib/shim/mmx64.efi.signed",
            "debian/fbx64.efi": root / "usr/lib/shim/fbx64.efi.signed",
            "debian/BOOTX64.CSV": root / "usr/lib/shim/BOOTX64.CSV",
            "debian/grub.cfg": stub,
            "BOOT/BOOTX64.EFI": root / "usr/lib/shim/shimx64.efi.signed",
            "BOOT/fbx64.efi": root / "usr/lib/shim/fbx64.efi.signed",
        }
        fat = f"{disk}@@{disks.place(disk, esp.number)[0]}"
        run("mmd", "-i", fat, "::EFI", "::EFI/debian", "::EFI/BOOT")
        for name, file in files.items():
            if file.exists():
                run("mcopy", "-i", fat, file, f"::EFI/{name}")
        stub.unlink()


_STUB: Final = """search.fs_uuid {uuid} root {hint}
set prefix=($root)'/boot/grub'
configfile $prefix/grub.cfg
"""


def _shown(part: Part) -> str:
    """As blkid shows it."""
    return f"{part.uuid[:4]}-{part.uuid[4:]}".upper() if part.content == "esp" else part.uuid


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


BOOKWORM: Final = Model(
    "model-12",
    "bookworm",
    "bios",
    Layout(
        "dos",
        2048,
        (
            Part(1, "root", 1536, _uuid("root.12")),
            Part(2, "swap", 256, _uuid("swap.12")),
            Part(3, "data", 0, _uuid("data.12")),
        ),
    ),
    "12" * 16,
)
TRIXIE: Final = Model(
    "model-13",
    "trixie",
    "uefi",
    Layout(
        "gpt",
        2048,
        (
            Part(1, "esp", 64, "13131313"),
            Part(2, "root", 1536, _uuid("root.13")),
            Part(3, "swap", 0, _uuid("swap.13")),
        ),
    ),
    "13" * 16,
    has_agent=True,
)
