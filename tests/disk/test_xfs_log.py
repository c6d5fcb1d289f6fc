"""The log of an XFS, with its end at any place of the ring that it is."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

import pytest

from tests.disk.test_clean import REPLAY, found, reason, write

RING: Final = 40


def ring(records: list[tuple[int, bool]], *, lost: int = 0) -> bytes:
    """A file system of 1 KiB and its log of so many blocks of 512 bytes: records of so many blocks, and whether that
    is of an unmount. They go round it, from its beginning; so many blocks of the last one are lost at its end, which
    keep what was there before.
    """
    superblock = bytearray(1024)
    struct.pack_into(">4sI40xQ28xIII", superblock, 0, b"XFSB", 512, 2, 1024, 1, 0)
    struct.pack_into(">I20xB", superblock, 96, RING, 0)
    superblock[124] = 10
    blocks, position = [bytes(512)] * RING, 0
    for number, (length, unmount) in enumerate(records, 1):
        for each in range(length - lost if number == len(records) else length):
            block = bytearray(os.urandom(512))
            struct.pack_into(">I", block, 0, position // RING + 1)
            block[9] = 0x20 if unmount else 0x01
            if each == 0:
                struct.pack_into(">IIII", block, 0, 0xFEEDBABE, position // RING + 1, 2, (length - 1) * 512)
                struct.pack_into(">I", block, 40, 1 if unmount else 3)
                struct.pack_into(">I", block, 320, 32 << 10)
            blocks[position % RING] = bytes(block)
            position += 1
    return bytes(superblock) + b"".join(blocks)


@pytest.mark.parametrize("before", range(3, 3 * RING))
def test_an_unmount_at_any_place(before: int, tmp_path: Path) -> None:
    path = tmp_path / "ring"
    written = [(2 + before % 2, True), *[(2, False)] * (before // 2)]
    path.write_bytes(ring([*written, (2, True)]))
    assert found(path, "xfs") is None
    for more in ([], [(2, True), (2, False)], [(2, True), (5, False)]):
        path.write_bytes(ring([*written, *more]))
        assert reason(path, "xfs") == REPLAY


@pytest.mark.parametrize("before", range(3, 3 * RING))
@pytest.mark.parametrize("lost", [1, 3])
def test_a_record_that_was_not_written_to_its_end(before: int, lost: int, tmp_path: Path) -> None:
    """It is as if there were none."""
    path = tmp_path / "ring"
    written = [(2 + before % 2, True), *[(2, False)] * (before // 2)]
    path.write_bytes(ring([*written, (2, True), (5, False)], lost=lost))
    assert found(path, "xfs") is None
    path.write_bytes(ring([*written, (5, False)], lost=lost))
    assert reason(path, "xfs") == REPLAY


@pytest.mark.parametrize(("at", "number"), [(12, 3 * 512), (12, 0), (40, 2), (40, 0)])
def test_an_unmount_that_says_otherwise(at: int, number: int, tmp_path: Path) -> None:
    """Of its length, or of how much it holds."""
    path = tmp_path / "ring"
    path.write_bytes(ring([(3, False), (2, True), (5, False)], lost=1))
    assert found(path, "xfs") is None
    write(path, 1024 + 3 * 512 + at, number.to_bytes(4, "big"))
    assert reason(path, "xfs") == REPLAY
