"""What an image begins with, found in all that a partclone prints."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ogagent.capture.real import RealModels, end_of_beginning
from ogagent.disk.by_path import ByPath, target_at
from tests.capture.in_memory import SOME, head_of, image_of
from tests.capture.models import KINDS, make
from tests.image.partclone_programs import run

MIB: Final = 1 << 20
LINES: Final = st.lists(st.builds("block {} {} \n".format, st.integers(0, 9999), st.integers(0, 9999)), max_size=50)


def taken(output: bytes, step: int) -> bytes:
    """As it comes, ``step`` bytes at a time, until it is enough."""
    for count in range(step, len(output) + step, step):
        said = output[:count]
        if end_of_beginning(said) <= len(said):
            return said[: end_of_beginning(said)]
    raise AssertionError("it is never enough")


@given(LINES, st.integers(1, 700))
def test_lines_before_it(lines: list[str], step: int) -> None:
    before = "".join(lines).encode()
    assert taken(before + image_of(SOME), step) == before + head_of(SOME)


def test_lines_without_an_end() -> None:
    endless = b"block 1 2 \n" * (7 * MIB)
    assert end_of_beginning(endless[:MIB]) > MIB
    assert end_of_beginning(endless) == len(endless)


def test_a_number_of_blocks_that_no_partition_has() -> None:
    """A bitmap for that many is not waited for."""
    for total in (1 << 33, (1 << 64) - 1):
        wrong = bytearray(head_of(SOME)[:110])
        struct.pack_into("<Q", wrong, 60, total)
        assert end_of_beginning(wrong) == len(wrong)


def test_an_exfat_in_many_pieces(tmp_path: Path) -> None:
    """So many that the lines do not wait until the image has been printed."""
    model, image = tmp_path / "fs.exfat", tmp_path / "real"
    make(model, "exfat", "fragmented")
    run(KINDS["exfat"].program, "-c", "-s", model, "-O", image, "-L", tmp_path / "log", "-f", "1")
    beginning = asyncio.run(RealModels(ByPath()).beginning(target_at(str(model)), "exfat"))
    assert beginning.startswith(b"partclone-image")
    assert image.read_bytes().startswith(beginning)


def test_a_partition_that_has_no_node(tmp_path: Path) -> None:
    """It is read through a loop device, and that is gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    model, disk = tmp_path / "fs.ext4", tmp_path / "disk"
    make(model, "ext4", "fragmented")
    disk.write_bytes(bytes(MIB) + model.read_bytes() + bytes(MIB))
    target = replace(
        target_at(str(disk)), device=str(tmp_path / "disk1"), start=MIB, size=model.stat().st_size, sector_size=512
    )
    models = RealModels(ByPath())
    beginning = asyncio.run(models.beginning(target, "ext4"))
    assert beginning == asyncio.run(models.beginning(target_at(str(model)), "ext4"))
    attached = subprocess.run(["losetup", "--associated", disk], capture_output=True, check=True)
    assert attached.stdout == b""
