"""A Windows in a directory, as far as the registry goes: hives made by hivexregedit, and stores of the boot manager."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from tests.software.hives import CURRENT, make_hive, parents

needs_hivex = pytest.mark.skipif(shutil.which("hivexregedit") is None, reason="hivexregedit is not installed")

CONFIG: Final = "Windows/System32/config"
SYSTEM: Final = f"{CONFIG}/SYSTEM"

MODEL_SIGNATURE: Final = 0xFF6414B3
MODEL_START: Final = 1 << 20
MODEL_ID: Final = bytes.fromhex("b31464ff 0000100000000000")
MODEL_DISK: Final = UUID("774add80-82ff-4a39-8ad1-a05757758999")
MODEL_PARTITION: Final = UUID("b1352d5d-d567-4e0a-9f5b-3f0b2b6a7c11")
MODEL_GPT_ID: Final = b"DMIO:ID:" + MODEL_PARTITION.bytes_le

BOOT_MANAGER: Final = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
LOADER: Final = "{fa926493-6f1c-4193-a414-58f0b2456d1e}"
RESUME: Final = "{147aa509-0358-4473-b83b-d950dda00615}"
MEMORY: Final = "{b2721d73-1db4-4c62-bf78-c548a880142d}"
RECOVERY: Final = "{572bcd56-ffa7-11d9-aae0-0007e994107d}"
STORE: Final = "Boot/BCD"

Content = str | int | bytes


def key(path: str, values: Mapping[str, Content] | None = None) -> str:
    return "\n".join(
        (f"[{path}]", *(f"{_quoted(name)}={_spelled(each)}" for name, each in (values or {}).items()), "", "")
    )


def tree(path: str, values: Mapping[str, Content] | None = None) -> str:
    """The key, and those that it is in."""
    return parents(path) + key(path, values)


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' if name else "@"


def _spelled(content: Content) -> str:
    if isinstance(content, int):
        return f"dword:{content:08x}"
    kind, data = (3, content) if isinstance(content, bytes) else (1, f"{content}\0".encode("utf-16-le"))
    return f"hex({kind}):{data.hex(',')}"


def control_set(number: int, name: str = "MODEL") -> str:
    root = rf"\ControlSet{number:03d}"
    return tree(rf"{root}\Control\ComputerName\ComputerName", {"": "mnmsrvc", "ComputerName": name}) + tree(
        rf"{root}\Services\Tcpip\Parameters",
        {"Hostname": name.lower(), "NV Hostname": name.lower(), "ICSDomain": "mshome.net", "Máquina": 7},
    )


def mounted(drive: bytes | None = MODEL_ID, **others: bytes) -> str:
    letters = {"C": drive, **others}
    found = {rf"\DosDevices\{letter}:": data for letter, data in letters.items() if data is not None}
    return key(r"\MountedDevices", {**found, r"\??\Volume{f95cc040-a528-11de-bbbb-806e6f6e6963}": MODEL_ID})


DEFAULT_SETS: Final = key(r"\Select", {"Current": 1, "Default": 1, "Failed": 0, "LastKnownGood": 2}) + control_set(1)


def make_windows(
    root: Path, system: str = DEFAULT_SETS + mounted(), software: Mapping[str, Content] | None = None
) -> Path:
    (root / CONFIG).mkdir(parents=True)
    (root / "Windows/System32/ntoskrnl.exe").write_bytes(b"MZ")
    make_hive(root / SYSTEM, system)
    if software is not None:
        make_hive(root / CONFIG / "SOFTWARE", tree(CURRENT, software))
    return root


def partition_device(
    partition: bytes, table: int, disk: bytes, *, options: bytes = bytes(16), disk_type: int = 0
) -> bytes:
    """As Windows writes it: type 6, of 72 bytes."""
    named = partition.ljust(16, b"\0") + struct.pack("<II", disk_type, table) + disk.ljust(16, b"\0")
    return options + struct.pack("<4I", 6, 0, 72, 0) + named + bytes(16)


def msdos_device(signature: int = MODEL_SIGNATURE, start: int = MODEL_START) -> bytes:
    return partition_device(struct.pack("<Q", start), 1, struct.pack("<I", signature))


def gpt_device(partition: UUID = MODEL_PARTITION, disk: UUID = MODEL_DISK) -> bytes:
    return partition_device(partition.bytes_le, 0, disk.bytes_le)


def other_device(kind: int, content: bytes = bytes(56)) -> bytes:
    return bytes(16) + struct.pack("<4I", kind, 0, 16 + len(content), 0) + content


def ramdisk_device(within: bytes) -> bytes:
    """A RAM disk out of a file of a partition, as of the recovery environment."""
    path = "\\Recovery\\WindowsRE\\Winre.wim\0".encode("utf-16-le")
    inner = struct.pack("<I", 3) + bytes(28) + struct.pack("<3I", 1, 120, 5) + within[16:] + path
    return other_device(0, inner)


def store_object(guid: str, kind: int, **elements: bytes) -> str:
    root = rf"\Objects\{guid}"
    text = key(root) + key(rf"{root}\Description", {"Type": kind}) + key(rf"{root}\Elements")
    return text + "".join(key(rf"{root}\Elements\{name[1:]}", {"Element": data}) for name, data in elements.items())


def make_store(root: Path, objects: str, path: str = STORE) -> Path:
    place = root / path
    place.parent.mkdir(parents=True)
    return make_hive(place, key(r"\Description", {"KeyName": "BCD00000000"}) + key(r"\Objects") + objects)
