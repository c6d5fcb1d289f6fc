"""``/etc/fstab`` of a system that has come to another machine: fstab(5), systemd.mount(5).

An entry for a device that does not exist lets systemd wait 90 seconds, and without ``nofail`` it ends in an emergency
shell. So what the model had and this machine has as well, a root, swap, an EFI partition, is named as it is called
here; what exists nowhere here need not come. Lines that stay are not touched, comments neither.
"""

from __future__ import annotations

import re
from typing import Final

from ogagent.finish.place import Place, Volume

_LINE: Final = re.compile(r"(\s*)(\S+)(\s+)(\S+)(\s+)(\S+)(?:(\s+)(\S+))?(.*)", re.DOTALL)
_TAGS: Final = ("UUID", "PARTUUID", "LABEL", "PARTLABEL")
_LINKS: Final = {"by-uuid": "UUID", "by-partuuid": "PARTUUID", "by-label": "LABEL", "by-partlabel": "PARTLABEL"}
_ESP_PLACES: Final = ("/boot/efi", "/efi", "/boot")
_WAIT: Final = "x-systemd.device-timeout=5s"


def rewritten(text: str, place: Place) -> str:
    lines = text.splitlines(keepends=True)
    entries = [_entry(line) for line in lines]
    roots = {_plain(entry[2]) for entry in entries if entry and entry[4] == "/"}
    return "".join(_line(line, entry, roots, place) for line, entry in zip(lines, entries, strict=True))


def names_another(spec: str, volume: Volume) -> bool:
    """Whether it is a device, as ``fstab`` and the kernel's ``root=`` name them, and not this one."""
    plain = _plain(spec)
    return _is_device(spec) and plain != volume.target.device and not _names(plain, volume)


def _entry(line: str) -> re.Match[str] | None:
    """Of a device."""
    found = None if line.lstrip().startswith("#") else _LINE.fullmatch(line)
    return found if found and _is_device(found[2]) else None


def _line(line: str, found: re.Match[str] | None, roots: set[str], place: Place) -> str:
    if found is None:
        return line
    before, spec, gap, where, space, kind, blank, options, rest = found.groups()
    here = _here(_plain(spec), where, kind, place, roots)
    if here is not None:
        return line if here == _plain(spec) else f"{before}{here}{gap}{line[found.start(4) :]}"
    wanted = _lenient(options or "defaults")
    return f"{before}{spec}{gap}{where}{space}{kind}{blank or ' '}{wanted}{rest}"


def _here(spec: str, where: str, kind: str, place: Place, roots: set[str]) -> str | None:
    """How this machine calls it; None for what it does not have. What is mounted at / may have other places, too:
    subvolumes of btrfs.
    """
    if spec in roots:
        return _lasting(spec, place.volume) if place.volume.uuid else spec
    swap, esp = kind == "swap", kind in ("vfat", "auto") and where in _ESP_PLACES
    found = [each for each in place.volumes if _names(spec, each) and (each.swap if swap else not each.swap)]
    if found and (not esp or found[0].esp) and _is_lasting(spec):
        return spec
    role = place.swap if swap else place.esp if esp else None
    if role is not None and role.uuid:
        return f"UUID={role.uuid}"
    return None


def _lasting(spec: str, volume: Volume) -> str:
    return spec if _is_lasting(spec) and _names(spec, volume) else f"UUID={volume.uuid}"


def _is_lasting(spec: str) -> bool:
    """``/dev/sda2`` may be another one tomorrow."""
    return spec.partition("=")[0] in _TAGS


def _names(spec: str, volume: Volume) -> bool:
    tag, _, value = spec.partition("=")
    known = {"UUID": volume.uuid, "PARTUUID": volume.part_uuid, "LABEL": volume.label, "PARTLABEL": volume.part_label}
    return bool(value) and known.get(tag, "").lower() == value.lower()


def _is_device(spec: str) -> bool:
    return spec.partition("=")[0] in _TAGS or spec.startswith("/dev/")


def _plain(spec: str) -> str:
    """``/dev/disk/by-uuid/…`` says what ``UUID=…`` says; quotes are allowed."""
    tag, sign, value = spec.partition("=")
    if sign:
        return f"{tag}={value.strip(chr(34))}"
    parts = spec.split("/")
    if len(parts) == 5 and parts[2] == "disk" and parts[3] in _LINKS:
        return f"{_LINKS[parts[3]]}={parts[4]}"
    return spec


def _lenient(options: str) -> str:
    present = options.split(",")
    more = ["nofail"] if "nofail" not in present else []
    if not any(each.startswith("x-systemd.device-timeout=") for each in present):
        more.append(_WAIT)
    return ",".join((*present, *more))
