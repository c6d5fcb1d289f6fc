from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.imagefile.beside import MIB, NOISE


@pytest.fixture(scope="module")
def filesystem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A raw ext4; what is in its blocks does not matter here."""
    mke2fs = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if mke2fs is None:
        pytest.skip("mke2fs is not installed")
    path = tmp_path_factory.mktemp("raw") / "fs"
    with path.open("xb") as file:
        file.truncate(6 * MIB)
    subprocess.run([mke2fs, "-q", "-t", "ext4", path], check=True, capture_output=True)
    data = bytearray(path.read_bytes())
    data[3 * MIB : 4 * MIB] = NOISE.randbytes(MIB)
    return bytes(data)


@pytest.fixture
def image(filesystem: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "x.img"
    path.write_bytes(filesystem)
    return path
