"""Images that would become far larger than they look: they end with an error, and memory stays bounded."""

from __future__ import annotations

import gzip
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from lzallright import LZOCompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB: Final = 1 << 20
TARGET: Final = 16 * MIB
PEAK: Final = 200 * MIB
"""Of the whole process: some 100 MiB are its own, the rest is what one malicious lzop block can cost."""

RUN: Final = """
import re, sys
from pathlib import Path
from ogagent.cli import main
status = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(f"status {status} peak {int(peak[1]) * 1024}")
"""


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def partclone(total: int, used: int, device_size: int, mode: int = 0x20) -> bytes:
    size, group = (4, 256) if mode else (0, 0)
    fields = struct.pack(
        "<16s14s4sH16sQQQQIIHHHHIBB",
        *(b"partclone-image", b"0.3.23", b"0002", 0xC0DE, b"EXTFS", device_size, total, used, used, 512),
        *(18, 2, 64, mode, size, group, 1, 1),
    )
    return fields + crc(fields)


def a_raw_ext2() -> bytes:
    head = bytearray(68 << 10)
    struct.pack_into("<II", head, 1024 + 4, 8192, 0)  # blocks
    struct.pack_into("<I", head, 1024 + 24, 0)  # of 1 KiB
    struct.pack_into("<H", head, 1024 + 56, 0xEF53)
    return bytes(head)


def in_zstd(head: bytes) -> bytes:
    return zstd.compress(head) + zstd.compress(bytes(16 * MIB)) * 256


def in_gzip(head: bytes) -> bytes:
    return gzip.compress(head) + gzip.compress(bytes(16 * MIB), 1) * 256


def lzop_file(data: bytes, claimed: int) -> bytes:
    fields = struct.pack(">HHHBBIIIIB", 0x1040, 0x20A0, 0x0940, 1, 5, 0x03000000, 0, 0, 0, 0)
    packed = bytes(LZOCompressor().compress(data))
    block = struct.pack(">II", claimed, len(packed)) + packed
    return b"\x89LZO\x00\r\n\x1a\n" + fields + struct.pack(">I", zlib.adler32(fields)) + block + bytes(4)


def in_lzop(head: bytes) -> bytes:
    return lzop_file(head, len(head)) + lzop_file(bytes(256 << 10), 256 << 10) * (16 << 10)


BITMAP: Final = b"\xff" * 4096
FULL: Final = partclone(32768, 32768, TARGET) + BITMAP + crc(BITMAP)
FULL_UNCHECKED: Final = partclone(32768, 32768, TARGET, mode=0) + BITMAP + crc(BITMAP)
BOMBS: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "raw in zstd": (lambda: in_zstd(a_raw_ext2()), "The image needs at least"),
    "raw in gzip": (lambda: in_gzip(a_raw_ext2()), "The image needs at least"),
    "raw in lzop": (lambda: in_lzop(a_raw_ext2()), "The image needs at least"),
    "no image": (lambda: in_zstd(b""), "this is not an image"),
    "header and nothing but zeros": (lambda: in_zstd(partclone(32768, 32768, TARGET)), "bitmap does not match"),
    "blocks without end": (lambda: in_zstd(FULL), "do not match their checksum"),
    "unchecked blocks without end": (lambda: in_zstd(FULL_UNCHECKED), "goes on after its last block"),
    "a bitmap for another disk": (lambda: in_zstd(partclone(1 << 32, 1 << 31, 1 << 62)), "The image needs"),
    "a window of 2 GiB": (lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(64), r"2\.0 GiB of memory are needed"),
    "a segment of 2 EiB": (lambda: b"\x28\xb5\x2f\xfd\xe0" + bytes(7) + b"\x20" + bytes(64), "memory are needed"),
    "a gzip name of 300 MiB": (
        lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (300 * MIB),
        "name or comment .* does not end",
    ),
    "an lzop block of 45 MiB": (lambda: lzop_file(bytes(45 * MIB), 256 << 10), r"47185920 bytes, not 262144"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_with_an_error_and_costs_little_memory(name: str, tmp_path: Path) -> None:
    make, what = BOMBS[name]
    image, target = tmp_path / "x.img", tmp_path / "target"
    image.write_bytes(make())
    with target.open("wb") as file:
        file.truncate(TARGET)
    command = [sys.executable, "-c", RUN, "restore", str(image), str(target), "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert re.search(what, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    ended = re.search(r"status (\d+) peak (\d+)", done.stdout)
    assert ended is not None, done.stdout
    assert ended[1] == "1"
    assert int(ended[2]) < PEAK, f"{int(ended[2]) // MIB} MiB"
    print(f"{name}: {len(image.read_bytes())} bytes, {int(ended[2]) // MIB} MiB")
