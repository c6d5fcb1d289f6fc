"""Systems of five distributions as they lie on a disk, as far as a name, an id and a boot menu go. Made for this."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from simulator.tree import Node

TREES: Final = {
    "debian": ("debian", "boot/grub"),
    "ubuntu": ("ubuntu", "boot/grub"),
    "fedora": ("fedora", "boot/grub2"),
    "opensuse": ("opensuse", "boot/grub2"),
    "arch": ("arch", "boot/grub"),
}
"""Name: the directory on an EFI system partition, and where GRUB's menu is."""
_IDS: Final = {
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "ubuntu": 'PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE=debian\n',
    "fedora": 'PRETTY_NAME="Fedora Linux 41 (Workstation Edition)"\nID=fedora\n',
    "opensuse": 'PRETTY_NAME="openSUSE Leap 15.6"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\n',
    "arch": 'PRETTY_NAME="Arch Linux"\nID=arch\n',
}
_SWAP: Final = {
    "debian": "UUID=of-the-model none swap sw 0 0\n",
    "ubuntu": "/dev/disk/by-uuid/of-the-model none swap sw 0 0\n",
    "fedora": "UUID=of-the-model none swap defaults 0 0\n",
    "opensuse": "UUID=of-the-model  swap  swap  defaults  0  0\n",
    "arch": "# /dev/sda3\nUUID=of-the-model\tnone\tswap\tdefaults\t0 0\n",
}
_LAYOUTS: Final[dict[str, dict[str, str]]] = {
    "debian": {
        "etc/initramfs-tools/conf.d/resume": "RESUME=UUID=of-the-model\n",
        "boot/initrd.img-6.1.0-1-amd64": "initrd\n",
    },
    "ubuntu": {
        "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
        "boot/initrd.img-6.8.0-31-generic": "initrd\n",
        "etc/netplan/01-network-manager-all.yaml": "network:\n  version: 2\n  renderer: NetworkManager\n",
    },
    "fedora": {"usr/lib/dracut/dracut.conf.d/a": "", "boot/initramfs-6.11.4-301.fc41.x86_64.img": "initrd\n"},
    "opensuse": {"usr/lib/dracut/dracut.conf.d/a": "", "boot/initramfs-6.4.0.img": "initrd\n"},
    "arch": {"boot/initramfs-linux.img": "initrd\n"},
}
_DBUS: Final = {"debian": "", "ubuntu": "/etc/machine-id", "fedora": "/etc/machine-id", "opensuse": "", "arch": ""}
"""A link, or a file of its own."""
_SSH_GROUP: Final = {"fedora": 101}


def tree(name: str) -> dict[str, Node]:
    files = {
        "usr/lib/os-release": _IDS[name],
        "etc/hostname": "modelo\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 modelo.aula.es modelo\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/fstab": f"UUID=root-uuid / ext4 defaults 0 1\n{_SWAP[name]}",
        f"{TREES[name][1]}/grub.cfg": "search --no-floppy --fs-uuid --set=root root-uuid\n",
        **_LAYOUTS[name],
    }
    nodes = {f"/{path}": Node(kind="file", mode=0o644, content=text.encode()) for path, text in files.items()}
    nodes["/etc/machine-id"] = Node(kind="file", mode=0o444, content=nodes["/etc/machine-id"].content)
    nodes["/etc/os-release"] = Node(kind="symlink", mode=0o777, target="../usr/lib/os-release")
    for kind in ("rsa", "ecdsa", "ed25519"):
        private = Node(kind="file", mode=0o640 if name in _SSH_GROUP else 0o600, gid=_SSH_GROUP.get(name, 0))
        nodes[f"/etc/ssh/ssh_host_{kind}_key"] = private
        nodes[f"/etc/ssh/ssh_host_{kind}_key.pub"] = Node(kind="file", mode=0o644, content=b"old root@modelo\n")
    if to := _DBUS[name]:
        nodes["/var/lib/dbus/machine-id"] = Node(kind="symlink", mode=0o777, target=to)
    elif name == "debian":
        nodes["/var/lib/dbus/machine-id"] = Node(kind="file", mode=0o644, content=nodes["/etc/machine-id"].content)
    for path in list(nodes):
        for parent in list(PurePosixPath(path).parents)[:-1]:
            nodes.setdefault(str(parent), Node(kind="directory"))
    return nodes
