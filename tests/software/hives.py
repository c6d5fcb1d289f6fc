"""Windows' registry hives, made by hivexregedit out of an empty one.

The empty one is laid out after "Windows registry file format specification" (msuhanov/regf).
"""

from __future__ import annotations

import struct
import subprocess
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

_BASE: Final = 4096
_BIN: Final = 4096
_NONE: Final = 0xFFFFFFFF
_ROOT: Final = 0x20
_ROOT_KEY: Final = 0x2C  # of a hive, not to be deleted, name in ASCII
_DESCRIPTOR: Final = bytes.fromhex("0100048000000000000000000000000000000000")  # nobody in particular

UNINSTALL: Final = r"\Microsoft\Windows\CurrentVersion\Uninstall"
UNINSTALL_32: Final = r"\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall"
CURRENT: Final = r"\Microsoft\Windows NT\CurrentVersion"


def make_hive(path: Path, registry: str) -> Path:
    """``registry``: what follows the head line of a ``.reg`` file, its keys relative to the hive's root."""
    path.write_bytes(_empty())
    merge = ["hivexregedit", "--merge", "--encoding", "UTF-16LE", str(path)]
    text = f"Windows Registry Editor Version 5.00\n\n{registry}\n"
    subprocess.run(merge, input=text.encode(), check=True, capture_output=True)
    return path


def key(name: str, **values: str | int) -> str:
    lines = [f'"{value}"={_spelled(content)}' for value, content in values.items()]
    return "\n".join((f"[{name}]", *lines, "", ""))


def parents(name: str) -> str:
    """Keys come into being one in the other."""
    parts = name.split("\\")
    return "".join(key("\\".join(parts[:count])) for count in range(2, len(parts) + 1))


def _spelled(content: str | int) -> str:
    if isinstance(content, int):
        return f"dword:{content:08x}"
    return "hex(1):" + ",".join(f"{byte:02x}" for byte in f"{content}\0".encode("utf-16-le"))


def _empty() -> bytes:
    root = _cell(_root_key(0))
    security = _ROOT + len(root)
    root = _cell(_root_key(security))
    owner = _cell(struct.pack("<2sH4I", b"sk", 0, security, security, 1, len(_DESCRIPTOR)) + _DESCRIPTOR)
    used = _ROOT + len(root) + len(owner)
    cells = struct.pack("<4s2I2QI", b"hbin", 0, _BIN, 0, 0, 0) + root + owner + struct.pack("<i", _BIN - used)
    return _base_block() + cells.ljust(_BIN, b"\0")


def _base_block() -> bytes:
    head = struct.pack("<4s2IQ7I", b"regf", 1, 1, 0, 1, 3, 0, 1, _ROOT, _BIN, 1).ljust(508, b"\0")
    checksum = reduce(xor, (word for (word,) in struct.iter_unpack("<I", head)))
    return (head + struct.pack("<I", checksum)).ljust(_BASE, b"\0")


def _root_key(security: int) -> bytes:
    lists = (0, 0, _NONE, _NONE, 0, _NONE, security, _NONE)  # subkeys, values, owner, class
    return struct.pack("<2sHQ2I8I5I2H", b"nk", _ROOT_KEY, 0, 0, _NONE, *lists, 0, 0, 0, 0, 0, 4, 0) + b"ROOT"


def _cell(content: bytes) -> bytes:
    size = -(-(len(content) + 4) // 8) * 8
    return struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
