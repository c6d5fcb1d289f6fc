"""A partition as its disk's table has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from ogagent.errors import NotReady
from ogagent.finish.drive import GptPlace, MsdosPlace, place_of
from ogagent.model.plan import Target

SIZE: Final = 64 << 20
MIB: Final = 1 << 20
SFDISK: Final = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin:/bin")

pytestmark = pytest.mark.skipif(SFDISK is None, reason="sfdisk is not installed")


def disk(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run([str(SFDISK), "--quiet", str(path)], input=script.encode(), check=True, capture_output=True)
    return path


def target(path: Path, start: int) -> Target:
    return Target(
        disk=1,
        partition=2,
        device="",
        disk_device=str(path),
        identity="",
        start=start,
        size=MIB,
        sector_size=512,
    )


def test_a_gpt(tmp_path: Path) -> None:
    whole, own = UUID("774ADD80-82FF-4A39-8AD1-A05757758999"), UUID("B1352D5D-D567-4E0A-9F5B-3F0B2B6A7C11")
    script = f"label: gpt\nlabel-id: {whole}\nstart=2048,size=2048\nstart=8192,size=2048,uuid={own}\n"
    path = disk(tmp_path, script)
    assert place_of(target(path, 4 * MIB), "gpt") == GptPlace(whole, own)
    with pytest.raises(NotReady, match="partition 2 of disk 1 is not in the partition table"):
        place_of(target(path, 3 * MIB), "gpt")


def test_an_msdos_table(tmp_path: Path) -> None:
    path = disk(tmp_path, "label: dos\nlabel-id: 0xff6414b3\nstart=2048,size=2048\n")
    assert place_of(target(path, MIB), "msdos") == MsdosPlace(0xFF6414B3, MIB)
    with pytest.raises(NotReady, match="is not in the partition table"):
        place_of(target(path, MIB), "gpt")


def test_a_disk_that_windows_has_not_named(tmp_path: Path) -> None:
    path = disk(tmp_path, "label: dos\nstart=2048,size=2048\n")
    content = bytearray(path.read_bytes())
    content[440:444] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(NotReady, match="has no disk signature"):
        place_of(target(path, MIB), "msdos")
