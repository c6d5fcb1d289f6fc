"""The store that Windows' boot manager reads: a hive, ``Boot/BCD`` for a BIOS and ``EFI/Microsoft/Boot/BCD`` for UEFI.

``Objects\\{GUID}\\Elements\\NUMBER`` has the value ``Element``. Of a device element, as ``BL_DEVICE_DESCRIPTOR`` of
ReactOS (``boot/environ/include/bl.h``) and pbcdedit of M. Lehmann have it: 16 bytes of options, then type, flags, size
and an unused word of 32 bits each, then what the type calls for. Of a partition, type 6, that is 56 bytes: 16 of the
partition, either its GUID or, of 64 bits, where it begins on the disk in bytes; the type of the disk, 0 for a real one;
the kind of its table, 0 GPT and 1 MSDOS; 16 of the disk, its GUID or its signature of 32 bits; 16 that are not used.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from ogagent.finish.drive import GptPlace, MsdosPlace, Place
from ogagent.finish.files import Files
from ogagent.finish.hive import Hive
from ogagent.finish.hive_step import HiveStep
from ogagent.finish.reg_text import BINARY, Change, Value, Values

_STORES: Final = (("Boot", "BCD"), ("EFI", "Microsoft", "Boot", "BCD"))
_OBJECTS: Final = r"\Objects"
_ELEMENT: Final = re.compile(r"\\Objects\\(\{[0-9a-f-]{36}\})\\Elements\\([0-9a-f]{8})", re.IGNORECASE)
_IS_DEVICE: Final = re.compile(r"[1-3]1[0-9a-f]{6}")
"""An element's number begins with what it is of, and the format of what it holds: 1 is a device."""
_DEVICE: Final = "11000001"
_OS_DEVICE: Final = "21000001"
_BOOT_MANAGER: Final = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
_LOADER: Final = (0x10200003).to_bytes(4, "little")
"""The type, in its Description, of an object that starts a Windows."""

_HEAD: Final = struct.Struct("<16s4I")
_PARTITION: Final = struct.Struct("<16sII16s")
_SIZE: Final = 88
_OPTIONS: Final = 16
"""Bytes, and those of them that the size does not count."""
_QUALIFIED: Final = 6
_SEARCHED: Final = (5, 8)
"""Types for the partition that was started from, and the one that has a certain file."""
_OTHERS: Final = (0, 3, 4, *_SEARCHED)
"""The others that name no partition of a table: a whole disk, a file or a RAM disk; serial; network."""
_GPT, _MSDOS = 0, 1
_REAL_DISK: Final = 0


def place_in(element: bytes) -> Place | None:
    """The partition that a device element names; None for a device of another type.

    Raises ValueError for what is not understood.
    """
    if len(element) < _HEAD.size:
        raise ValueError(f"a device of {len(element)} bytes")
    _, kind, _, size, _ = _HEAD.unpack_from(element)
    if kind in _OTHERS:
        return None
    if kind != _QUALIFIED or len(element) != _SIZE or size != _SIZE - _OPTIONS:
        raise ValueError(f"a device of type {kind} and {len(element)} bytes")
    partition, disk_type, table, disk = _PARTITION.unpack_from(element, _HEAD.size)
    if disk_type != _REAL_DISK or table not in (_GPT, _MSDOS):
        raise ValueError(f"a partition on a disk of type {disk_type} with a table of kind {table}")
    if table == _GPT:
        return GptPlace(UUID(bytes_le=disk), UUID(bytes_le=partition))
    return MsdosPlace(int.from_bytes(disk[:4], "little"), int.from_bytes(partition[:8], "little"))


def with_place(element: bytes, place: Place) -> bytes:
    """The same device element, of a partition, naming another one."""
    return element[: _HEAD.size] + _named(place) + element[_HEAD.size + _PARTITION.size :]


def _named(place: Place) -> bytes:
    if isinstance(place, GptPlace):
        return _PARTITION.pack(place.partition.bytes_le, _REAL_DISK, _GPT, place.disk.bytes_le)
    start, signature = place.start.to_bytes(8, "little"), place.signature.to_bytes(4, "little")
    return _PARTITION.pack(start, _REAL_DISK, _MSDOS, signature)


class Element(NamedTuple):
    """A device of an object. ``place`` is None where it names no partition, or ``problem`` says why it is not
    understood.
    """

    key: str
    owner: str
    number: str
    data: bytes
    place: Place | None
    problem: str = ""

    @property
    def name(self) -> str:
        return f"element {self.number} of object {self.owner}"


def devices(objects: Mapping[str, Values]) -> Iterator[Element]:
    """``objects`` are all keys below that of the objects."""
    for key, values in objects.items():
        found, value = _ELEMENT.fullmatch(key), values.get("element")
        owner, number = (found[1].lower(), found[2].lower()) if found else ("", "")
        if value and _IS_DEVICE.fullmatch(number):
            try:
                yield Element(key, owner, number, value.data, place_in(value.data))
            except ValueError as error:
                yield Element(key, owner, number, value.data, None, str(error))


def renamed(elements: Iterable[Element], former: Collection[bytes], here: Place) -> tuple[list[Element], list[str]]:
    """Those device and osdevice elements that change, as they shall be; and what to warn of.

    ``former`` are the unique identifiers of what is ``here`` now.
    """
    changed, warnings = list[Element](), list[str]()
    for element in elements:
        place, ours = element.place, element.number in (_DEVICE, _OS_DEVICE)
        if element.problem and ours:
            warnings.append(f"{element.name} is not understood, and left as it is: {element.problem}")
        elif ours and place and place != here and place.unique_id in {*former, here.unique_id}:
            changed.append(element._replace(data=with_place(element.data, here), place=here))
        elif any(_mentions(element.data, each) for each in former if each != here.unique_id):
            warnings.append(f"{element.name} names the partition of the model, and is left as it is")
    return changed, warnings


def _mentions(data: bytes, unique_id: bytes) -> bool:
    """Also inside the device of a file or a RAM disk."""
    if len(unique_id) == 24:
        return unique_id[8:] in data
    signature, start = int.from_bytes(unique_id[:4], "little"), int.from_bytes(unique_id[4:12], "little")
    return _named(MsdosPlace(signature, start)) in data


def starts(objects: Mapping[str, Values], elements: Iterable[Element], here: Place) -> bool:
    """Whether the store has an object that starts a Windows from ``here``, or from where it is found."""
    loaders = {
        key.split("\\")[2].lower()
        for key, values in objects.items()
        if key.lower().endswith("\\description") and (kind := values.get("type")) and kind.data == _LOADER
    }
    return any(
        element.place == here or (not element.problem and _HEAD.unpack_from(element.data)[1] in _SEARCHED)
        for element in elements
        if element.number == _OS_DEVICE and element.owner in loaders
    )


def stores(files: Files) -> list[str]:
    """The paths of those in a file system. Blocking. Raises OSError."""
    return [path for names in _STORES if (path := files.find(*names))]


class NameBootDevices(HiveStep):
    """What named the partition of the model, device or osdevice of any object, names the one ``here``.

    ``former`` is what that partition was to the model, as ``ogagent.finish.windows.drive_id`` finds it. ``own``: the
    store was restored with it, so what the boot manager names as its own partition is a former one, too. Everything
    else is left as it is.
    """

    def __init__(self, files: Files, path: str, folder: Path, *, former: bytes | None, here: Place, own: bool) -> None:
        super().__init__(files, path, folder)
        self._former = former
        self._here = here
        self._own = own

    @property
    def name(self) -> str:
        return f"boot devices, {self._path}"

    @property
    def would(self) -> str:
        return f"the boot manager finds Windows where it is now ({self._path})"

    async def changes(self, hive: Hive) -> tuple[list[Change], list[str]]:
        objects = await hive.below(_OBJECTS)
        elements = list(devices(objects))
        changed, warnings = renamed(elements, self._formers(elements), self._here)
        later = {element.key: element for element in (*elements, *changed)}.values()
        if not starts(objects, later, self._here):
            warnings.append(f"nothing in {self._path} starts the Windows that was restored")
        return [Change(element.key, "Element", Value(BINARY, element.data)) for element in changed], warnings

    def _formers(self, elements: Iterable[Element]) -> set[bytes]:
        own = {
            element.place.unique_id
            for element in elements
            if self._own and element.place and (element.owner, element.number) == (_BOOT_MANAGER, _DEVICE)
        }
        return own | ({self._former} if self._former else set())
