"""Where libblkid and cryptsetup look on a partition that tells them nothing: the edges hold all of it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.machine import Device
from ogagent.restore.edges import Edges
from tests.signatures.judge import run
from tests.signatures.plant import MIB

_READ: Final = re.compile(r"read: off=(\d+) len=(\d+)")
_HEADER: Final = re.compile(r"LUKS2 header at offset (0x[0-9a-f]+)")
SIZES: Final = [
    *(64 << 10, MIB, 2 * MIB - 512, 2 * MIB, 2 * MIB + 512, 3 * MIB, 4 * MIB, 4 * MIB + 4096, 5 * MIB + 1536),
    *(7 * MIB, 64 * MIB + 5 * 512, 65 * MIB + 8191, 900 * MIB),
]


class Blank:
    """As much of ``ogagent.disk.machine.Device`` as has to be there."""

    def __init__(self, size: int) -> None:
        self.size = size


def outside(size: int, start: int, stop: int) -> list[range]:
    """What of these bytes is no edge."""
    device: Device = Blank(size)  # type: ignore[assignment]
    return list(Edges(device).between(start, min(stop, size)))


@pytest.fixture(params=SIZES)
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "blank"
    with path.open("xb") as file:
        file.truncate(request.param)
    return path


def test_where_libblkid_looks(blank: Path) -> None:
    """Superblocks and partition tables, as wipefs asks for them."""
    seen = subprocess.run(
        ["/usr/sbin/wipefs", "--no-act", str(blank)],
        env={**os.environ, "LIBBLKID_DEBUG": "lowprobe"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    looked = [(int(offset), int(offset) + int(length)) for offset, length in _READ.findall(seen)]
    assert len(looked) > 10
    for start, stop in looked:
        assert not outside(blank.stat().st_size, start, stop), (start, stop)


def test_where_cryptsetup_looks(blank: Path) -> None:
    asked = run("cryptsetup", "--debug", "luksDump", blank, quiet=True)
    looked = {int(offset, 16) for offset in _HEADER.findall((asked.stdout + asked.stderr).decode())}
    assert {0, 0x4000, 0x400000} <= looked
    for offset in looked:
        assert not outside(blank.stat().st_size, offset, offset + 512), offset
