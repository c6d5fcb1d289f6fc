"""An image of a file system as the real partclone writes it, and a loop device to restore it onto."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from tests.records import without_record

_TOOLS: Final = ("losetup", "partx", "sfdisk", "mkfs.ext4", "blkid", "mount", "curl", "zstd")
_PARTCLONE: Final = ("partclone.ext4", "partclone.restore")
_MISSING: Final = [tool for tool in (*_TOOLS, *_PARTCLONE) if shutil.which(tool) is None]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
needs_tools = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")

MIB: Final = 1 << 20
SECTOR: Final = 512
DISK_SIZE: Final = 80 * MIB
FILESYSTEM_SIZE: Final = 32 * MIB

# In sectors: the target of exactly the file system's size, one that is a block smaller, the CACHE.
LAYOUT: Final = {1: (2048, 8192), 2: (10240, 65536), 3: (75776, 65536 - 8), 4: (141312, 16384)}


def run(*command: str | Path, data: bytes | None = None) -> bytes:
    done = subprocess.run([str(each) for each in command], input=data, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout


class Image(Struct, frozen=True):
    """``plain`` is what partclone wrote, not compressed; ``file`` the same as the repository has it."""

    plain: Path
    file: Path


def compressed(plain: bytes, file: Path) -> Path:
    file.write_bytes(run("zstd", "-q", "-c", data=plain))
    return file


class LoopDisk(Struct, frozen=True):
    file: Path
    device: str

    def partition(self, number: int) -> str:
        return f"{self.device}p{number}"

    def content(self) -> bytes:
        return self.file.read_bytes()

    def without_cache(self) -> bytes:
        """Which jobs mount, and so write to."""
        content = bytearray(self.content())
        cache = within(4)
        content[cache] = bytes(cache.stop - cache.start)
        return bytes(content)


def within(number: int) -> slice:
    start, size = LAYOUT[number]
    return slice(start * SECTOR, (start + size) * SECTOR)


def as_partclone_writes(image: Image, before: bytes, folder: Path) -> bytes:
    """What the real program makes of the partition; the agent clears the first MiB too, where nothing belongs."""
    reference = folder / "reference"
    reference.write_bytes(bytes(MIB) + before[MIB:])
    run("partclone.restore", "-L", folder / "log", "-s", image.plain, "-O", reference)
    return reference.read_bytes()


def wiped(disk: LoopDisk) -> bool:
    start = within(2).start
    return without_record(disk.content()[start : start + MIB]) == bytes(MIB)
