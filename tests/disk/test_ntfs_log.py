"""The log of an NTFS, closed or open, as ntfs-3g judges it before it writes to a volume."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk import ntfs
from ogagent.disk.clean import Unclean
from ogagent.disk.volume import Volume
from tests.disk.conftest import Tool
from tests.disk.test_clean import JOURNAL, MAKE, MIB, UNKNOWN, Sparse, found, reason, write

PAGE: Final = 4096
SIZE: Final = 64 * MIB


@pytest.fixture
def path(sparse: Sparse, tool: Tool) -> Path:
    path = sparse(SIZE)
    tool(*MAKE["ntfs"], path)
    return path


def log_of(path: Path) -> tuple[int, int]:
    """Where it begins, and its size."""
    with path.open("rb") as file:
        volume = Volume(file.fileno(), 0, SIZE)
        geometry = ntfs.geometry_of(volume.read(0, 512))
        data = ntfs.attribute(ntfs.first_record(volume, geometry, 2), ntfs.DATA)
    return next(ntfs.runs(data))[0] * geometry.cluster_size, ntfs.content_size(data)


def restart(path: Path, at: int, sequence: int, client: int, flags: int, version: int = 0x10001) -> None:
    """A restart page of the log as Windows writes it, which ntfs-3g understands."""
    start, size = log_of(path)
    page = bytearray(PAGE)
    struct.pack_into("<4sHHQIIHIH", page, 0, b"RSTR", 30, 9, 0, PAGE, PAGE, 48, version, 1)
    bits, free = 67 - size.bit_length(), 0 if client == 0xFFFF else 0xFFFF
    struct.pack_into("<QHHHHIHHQIHHI", page, 48, sequence, 1, free, client, flags, bits, 224, 64, size, 0, 48, 64, 7)
    struct.pack_into("<QQHH8xI8s", page, 112, sequence, sequence, 0xFFFF, 0xFFFF, 8, "NTFS".encode("utf-16-le"))
    for end in range(512, PAGE + 1, 512):
        struct.pack_into("<H", page, end - 2, 1)
    write(path, start + at, bytes(page))


@pytest.mark.parametrize(
    ("pages", "status"),
    [
        ([(0, 5, 0, 0)], 15),
        ([(0, 5, 0, 2)], 0),
        ([(0, 5, 0xFFFF, 0)], 0),
        ([(0, 5, 0, 2, 0x20000)], 14),
        ([(0, 5, 0xFFFF, 0, 0x20000)], 14),
        ([(0, 5, 0, 0), (PAGE, 6, 0, 2)], 0),
        ([(0, 6, 0, 0), (PAGE, 5, 0, 2)], 15),
        ([(0, 5, 0, 2), (PAGE, 6, 0, 0)], 15),
        ([(0, 6, 0, 2), (PAGE, 5, 0, 0)], 0),
    ],
)
def test_what_ntfs_3g_does_not_mount_has_an_open_log(pages: list[tuple[int, ...]], status: int, path: Path) -> None:
    """Its statuses: 15, an unclean unmount, 14, Windows sleeps or keeps metadata."""
    program = shutil.which("ntfs-3g.probe")
    if program is None:
        pytest.skip("ntfs-3g.probe is not installed")
    for page in pages:
        restart(path, *page)
    probe = subprocess.run([program, "--readwrite", path], check=False, capture_output=True)
    assert probe.returncode == status
    expected = Unclean(JOURNAL, "start Windows and shut it down, with fast start-up off") if status else None
    assert found(path, "ntfs") == expected


def test_a_log_that_is_none(path: Path) -> None:
    restart(path, 0, 5, 0, 2)
    write(path, log_of(path)[0], b"RCRD")
    assert reason(path, "ntfs") == UNKNOWN


def test_a_restart_area_outside_its_page(path: Path) -> None:
    restart(path, 0, 5, 0, 2)
    write(path, log_of(path)[0] + 24, b"\xff\xff")
    assert reason(path, "ntfs") == UNKNOWN
