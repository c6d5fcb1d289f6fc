"""The tree of files that ``image-test`` holds: a small Linux, the same bytes each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal["directory", "file", "symlink", "hard link"]
Tree = Mapping[str, "Node"]

ROOT: Final = 0
_SHADOW: Final = 42
_PERSON: Final = 1000
KIB: Final = 1 << 10
MIB: Final = 1 << 20

MODEL: Final = "modelo"
"""The PC that the system was made on."""
_KERNEL: Final = "6.8.0-31-generic"
_PACKAGES: Final = (
    ("base-files", "13ubuntu10"),
    ("bash", "5.2.21-2ubuntu4"),
    ("firefox-esr", "128.3.1esr-1"),
    ("geany", "2.0-1build2"),
    ("libreoffice-writer", "4:24.2.2-0ubuntu1"),
    ("linux-image-6.8.0-31-generic", "6.8.0-31.31"),
    ("octave", "8.4.0-1build5"),
    ("python3", "3.12.3-0ubuntu2"),
    ("systemd", "255.4-1ubuntu8"),
)
_WORDS: Final = ("aula", "imagen", "equipo", "remoto", "servidor", "disco", "partición", "caché", "sesión", "arranque")


class Node(Struct, frozen=True, kw_only=True):
    """``target`` is where a symlink points, or the path whose inode a hard link shares; times are not part of it."""

    kind: Kind
    mode: int = 0o755
    uid: int = ROOT
    gid: int = ROOT
    content: bytes = b""
    target: str = ""


OS_RELEASE: Final = b"""PRETTY_NAME="Ubuntu 24.04 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
HOME_URL="https://www.ubuntu.com/"
SUPPORT_URL="https://help.ubuntu.com/"
BUG_REPORT_URL="https://bugs.launchpad.net/ubuntu/"
UBUNTU_CODENAME=noble
"""


def linux_tree(uuid: str) -> dict[str, Node]:
    """By path, parents before their children, a hard link after what it shares. ``uuid`` is that of the file system."""
    nodes = dict(_everything(uuid))
    for path in list(nodes):
        for parent in list(PurePosixPath(path).parents)[:-1]:
            nodes.setdefault(str(parent), Node(kind="directory"))
    return dict(sorted(nodes.items(), key=lambda item: (item[1].kind == "hard link", item[0])))


def named(tree: Tree, name: str) -> dict[str, Node]:
    """The same system on a PC of its own, which is called ``name``."""
    old, new = MODEL.encode(), name.encode()
    changed = {path: tree[path].content.replace(old, new) for path in ("/etc/hostname", "/etc/hosts")}
    return {**tree, **{path: replace(tree[path], content=content) for path, content in changed.items()}}


def _everything(uuid: str) -> Iterator[tuple[str, Node]]:
    yield from _system(uuid)
    yield from _boot()
    yield from _programs()
    yield from _documentation()
    yield from _people()


def _system(uuid: str) -> Iterator[tuple[str, Node]]:
    for name in ("bin", "lib", "sbin"):
        yield f"/{name}", Node(kind="symlink", mode=0o777, target=f"usr/{name}")
    for name in ("dev", "proc", "run", "sys", "mnt"):
        yield f"/{name}", Node(kind="directory")
    yield "/tmp", Node(kind="directory", mode=0o1777)  # noqa: S108  # a path inside the image
    yield "/root", Node(kind="directory", mode=0o700)
    yield "/usr/lib/os-release", _text(OS_RELEASE)
    yield "/etc/os-release", Node(kind="symlink", mode=0o777, target="../usr/lib/os-release")
    yield "/var/lib/dpkg/status", _text(_packages())
    yield "/etc/hostname", _text(f"{MODEL}\n".encode())
    yield "/etc/hosts", _text(f"127.0.0.1 localhost\n127.0.1.1 {MODEL}\n".encode())
    yield "/etc/fstab", _text(f"UUID={uuid} / ext4 errors=remount-ro 0 1\n".encode())
    yield "/etc/passwd", _text(b"root:x:0:0:root:/root:/bin/bash\nalumno:x:1000:1000::/home/alumno:/bin/bash\n")
    yield "/etc/shadow", Node(kind="file", mode=0o640, gid=_SHADOW, content=b"root:*:19800:0:99999:7:::\n")
    yield "/etc/machine-id", _text(b"")
    yield "/var/lib/swapfile", Node(kind="file", mode=0o600, content=_sparse(8 * MIB))
    yield "/var/log/syslog", _text(_prose("syslog", 600 * KIB))


def _packages() -> bytes:
    """As dpkg keeps them."""
    paragraph = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n"
    return "\n".join(paragraph.format(name, version) for name, version in _PACKAGES).encode()


def _boot() -> Iterator[tuple[str, Node]]:
    kernel = b"MZ" + noise("vmlinuz", 11 * MIB)
    yield f"/boot/vmlinuz-{_KERNEL}", Node(kind="file", mode=0o600, content=kernel)
    yield f"/boot/initrd.img-{_KERNEL}", _text(noise("initrd", 9 * MIB))
    yield "/boot/vmlinuz", Node(kind="symlink", mode=0o777, target=f"vmlinuz-{_KERNEL}")
    yield "/boot/initrd.img", Node(kind="symlink", mode=0o777, target=f"initrd.img-{_KERNEL}")
    yield "/boot/grub/grub.cfg", _text(f"linux /boot/vmlinuz-{_KERNEL} ro quiet\n".encode())


def _programs() -> Iterator[tuple[str, Node]]:
    for number in range(120):
        content = b"\x7fELF" + noise(f"bin {number}", (8 + number % 40) * KIB) + bytes(number % 7 * KIB)
        yield f"/usr/bin/programa-{number:03}", Node(kind="file", content=content)
    yield "/usr/bin/perl", Node(kind="file", content=b"\x7fELF" + noise("perl", 3 * MIB))
    yield "/usr/bin/perl5.38.2", Node(kind="hard link", target="/usr/bin/perl")
    yield "/usr/bin/sudo", Node(kind="file", mode=0o4755, content=b"\x7fELF" + noise("sudo", 270 * KIB))
    yield "/usr/sbin/init", Node(kind="symlink", mode=0o777, target="../lib/systemd/systemd")
    yield "/usr/lib/systemd/systemd", Node(kind="file", content=b"\x7fELF" + noise("systemd", 100 * KIB))
    # Longer than the 59 bytes that ext4 keeps inside the inode.
    distant = "../../share/doc/paquete-000/" + "a" * 40 + "/../copyright"
    yield "/usr/lib/systemd/copyright", Node(kind="symlink", mode=0o777, target=distant)


def _documentation() -> Iterator[tuple[str, Node]]:
    for number in range(90):
        directory = f"/usr/share/doc/paquete-{number:03}"
        yield f"{directory}/copyright", _text(_prose(f"copyright {number}", 2 * KIB + number * 37))
        yield f"{directory}/changelog", _text(_prose(f"changelog {number}", 9 * KIB + number * 301))


def _people() -> Iterator[tuple[str, Node]]:
    home = "/home/alumno"
    yield home, Node(kind="directory", mode=0o750, uid=_PERSON, gid=_PERSON)
    for number in range(1, 13):
        content = _prose(f"práctica {number}", number * 3 * KIB)
        yield f"{home}/Práctica {number}.txt", _owned(content)
    yield f"{home}/.bashrc", _owned(b"alias ll='ls -l'\n")


def _text(content: bytes) -> Node:
    return Node(kind="file", mode=0o644, content=content)


def _owned(content: bytes) -> Node:
    return Node(kind="file", mode=0o644, uid=_PERSON, gid=_PERSON, content=content)


def noise(seed: str, length: int) -> bytes:
    """Bytes that do not compress, as in a kernel or a program that is packed already."""
    return hashlib.shake_256(seed.encode()).digest(length)


def _prose(seed: str, length: int) -> bytes:
    draws = noise(seed, length)
    return " ".join(_WORDS[draw % len(_WORDS)] for draw in draws[: length // 4]).encode()[:length]


def _sparse(length: int) -> bytes:
    """Mostly a hole: a page of noise at the start, in the middle, and at the end."""
    content = bytearray(length)
    for offset in (0, length // 2, length - 4 * KIB):
        content[offset : offset + 4 * KIB] = noise(f"swap {offset}", 4 * KIB)
    return bytes(content)
