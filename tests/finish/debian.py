"""A Debian as a model leaves it: what bears the model's name, its ids, and what is on its disk alone."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MODEL_SWAP: Final = "11111111-2222-3333-4444-555555555555"
MODEL_ESP: Final = "AAAA-BBBB"
MODEL_ID: Final = "0123456789abcdef0123456789abcdef"
OS_RELEASE: Final = (
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
)


def files(root_uuid: str) -> dict[str, str]:
    fstab = (
        "# /etc/fstab: static file system information.\n"
        f"UUID={root_uuid} /               ext4    errors=remount-ro 0       1\n"
        f"UUID={MODEL_ESP}  /boot/efi       vfat    umask=0077      0       1\n"
        f"UUID={MODEL_SWAP} none            swap    sw              0       0\n"
        "LABEL=datos /datos ext4 defaults 0 2\n"
        "tmpfs /tmp tmpfs defaults 0 0\n"
    )
    return {
        "usr/lib/os-release": OS_RELEASE,
        "etc/hostname": "modelo\n",
        "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tmodelo.aula.es\tmodelo\n::1\tlocalhost ip6-localhost\n",
        "etc/machine-id": f"{MODEL_ID}\n",
        "var/lib/dbus/machine-id": f"{MODEL_ID}\n",
        "etc/fstab": fstab,
        "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
        "etc/initramfs-tools/conf.d/resume": f"RESUME=UUID={MODEL_SWAP}\n",
        "boot/initrd.img-6.1.0-1-amd64": "the first files\n",
        "boot/vmlinuz-6.1.0-1-amd64": "the kernel\n",
        "boot/grub/grub.cfg": f"search --no-floppy --fs-uuid --set=root {root_uuid}\n",
        "usr/lib/shim/shimx64.efi.signed": "shim, signed",
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": "GRUB, signed",
        "usr/lib/shim/mmx64.efi.signed": "the key manager, signed",
    }


def lay_out(root: Path, content: Mapping[str, str]) -> None:
    for path, text in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/ssh").mkdir()
    for kind in ("rsa", "ecdsa", "ed25519"):
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "root@modelo"]
        subprocess.run([*command, "-f", root / f"etc/ssh/ssh_host_{kind}_key"], check=True, stdin=subprocess.DEVNULL)
