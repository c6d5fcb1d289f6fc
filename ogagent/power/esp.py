"""Which boot loader of an EFI system partition starts the system on a partition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final, Literal

from msgspec import Struct

from ogagent.disk.blkid import filesystem_uuid
from ogagent.errors import NoSystem
from ogagent.model.plan import Target
from ogagent.power.look import Look, probed
from ogagent.power.power import BootPlace
from ogagent.power.systems import System
from ogagent.system.reading import read_tree
from ogagent.system.tree import Tree

_WINDOWS: Final = ("EFI", "Microsoft", "Boot", "bootmgfw.efi")
_PROGRAMS: Final = ("shim{}.efi", "grub{}.efi", "systemd-boot{}.efi")
"""The likeliest first: where there is a shim, it starts GRUB."""
_FALLBACK: Final = "BOOT"
_NOT_VENDORS: Final = (_FALLBACK, "MICROSOFT")
_VENDOR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
_MOST_VENDORS: Final = 64
_STUB_LIMIT: Final = 1 << 16
_UUID: Final = re.compile(r"[0-9a-f]{4,12}(?:-[0-9a-f]{4,12})*", re.IGNORECASE)


class Loader(Struct, frozen=True, kw_only=True):
    """``path`` as firmware writes it. ``uuids``: the file systems on which its stub looks for the rest of it."""

    path: str
    label: str
    kind: Literal["windows", "vendor", "fallback"]
    uuids: tuple[str, ...] = ()


Found = tuple[Target, Loader]


async def found_loader(place: BootPlace, system: System, suffix: str, look: Look) -> Found:
    """With the partition that it is on. Raises NoSystem."""
    uuid = await probed(place.partition.device, filesystem_uuid)
    found: list[Found] = []
    for esp in place.esps:
        async with look(esp, "vfat") as root:
            loaders = await read_tree(root, esp.device, partial(loaders_in, suffix=suffix))
        found += [(esp, each) for each in loaders]
    return choose(found, place, system, uuid)


def loaders_in(tree: Tree, suffix: str) -> tuple[Loader, ...]:
    """``suffix`` is that of the firmware's programs, ``x64``. Blocking. Raises OSError, TooLarge."""
    found = []
    if path := tree.find(*_WINDOWS):
        found.append(Loader(path=_as_firmware(path), label="Windows Boot Manager", kind="windows"))
    if path := tree.find("EFI", _FALLBACK, f"boot{suffix}.efi"):
        found.append(Loader(path=_as_firmware(path), label="Linux", kind="fallback"))
    return (*found, *_vendors(tree, suffix))


def _vendors(tree: Tree, suffix: str) -> Iterator[Loader]:
    top = tree.find("EFI")
    names = [each for each in tree.names(top or "") if _VENDOR.fullmatch(each) and each.upper() not in _NOT_VENDORS]
    for name in names[:_MOST_VENDORS]:
        path = next(filter(None, (tree.find("EFI", name, each.format(suffix)) for each in _PROGRAMS)), None)
        if path is not None:
            stub = tree.find("EFI", name, "grub.cfg")
            text = (tree.read(stub, _STUB_LIMIT) or b"").decode("utf-8", "replace") if stub else ""
            yield Loader(path=_as_firmware(path), label=name, kind="vendor", uuids=tuple(_named(text)))


def _named(stub: str) -> Iterator[str]:
    """By ``search.fs_uuid UUID root``, as grub-install has it, or ``search --no-floppy --fs-uuid --set=dev UUID``."""
    for line in stub.splitlines():
        words = line.split()
        if words and (words[0] == "search.fs_uuid" or (words[0] == "search" and "--fs-uuid" in words)):
            yield from (each.lower() for each in words[1:] if _UUID.fullmatch(each))


def choose(found: list[Found], place: BootPlace, system: System, uuid: str) -> Found:
    """Raises NoSystem when there is none, or several of which none says that it is the one."""
    near = [each for each in found if each[0].identity == place.partition.identity]
    if system.windows:
        fitting = [each for each in near if each[1].kind == "windows"]
    else:
        fitting = _of_linux(found, system, uuid) or _of_linux(near, system, "") or _of_linux(found, system, "")
    if not fitting:
        raise NoSystem(
            f"no EFI system partition of this machine holds a boot loader for {place.partition.name}",
            hint="restore an image of a system that starts by UEFI, with its boot loader",
        )
    if len({each.path for _, each in fitting}) > 1:
        known = ", ".join(each.path for _, each in fitting)
        raise NoSystem(f"which of these boot loaders is for {place.partition.name} cannot be told: {known}")
    return fitting[0]


def _of_linux(found: list[Found], system: System, uuid: str) -> list[Found]:
    """With ``uuid`` the first that names it. Without, those that may be for any: where GRUB's menu is on the partition
    itself, a loader that looks for it elsewhere is not.
    """
    vendors = [each for each in found if each[1].kind == "vendor"]
    if uuid:
        return [each for each in vendors if uuid.lower() in each[1].uuids][:1]
    if vendors or any(each.kind == "windows" for _, each in found):
        return [each for each in vendors if not (system.menu and each[1].uuids)]
    return [each for each in found if each[1].kind == "fallback"]


def _as_firmware(path: str) -> str:
    return "\\" + path.replace("/", "\\")
