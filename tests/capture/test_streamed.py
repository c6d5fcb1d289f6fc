"""A partclone whose beginning is not understood: the image is made of all that it writes."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

import pytest

from ogagent.errors import ModelNotRead
from ogagent.imagefile.check import verify
from tests.capture.engine import capture
from tests.capture.models import make
from tests.image.partclone_programs import run
from tests.image.test_pack import as_0001


class Older:
    """A partclone.extfs that writes images of format 0001, as those before 0.3 did; ``goes`` is what it says instead
    of ``cat``.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.written = folder / "model", folder / "written"
        make(self.model, "ext2", "fragmented")
        run("partclone.ext2", "-q", "-c", "-s", self.model, "-O", self.written, "-L", folder / "log")
        self.written.write_bytes(as_0001(self.written.read_bytes(), self.model.read_bytes(), b""))
        self._program = folder / "programs" / "partclone.extfs"
        self._program.parent.mkdir()
        self.does("exec cat")
        monkeypatch.setenv("PATH", f"{self._program.parent}{os.pathsep}{os.environ['PATH']}")

    def does(self, what: str) -> None:
        self._program.write_text(f"#!/bin/sh\n{what} {quote(str(self.written))}\n")
        self._program.chmod(0o755)


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Older:
    return Older(tmp_path, monkeypatch)


def test_what_it_writes_is_the_image(older: Older, tmp_path: Path) -> None:
    image = tmp_path / "x.img"
    made = capture(older.model, image)
    run("zstd", "-q", "-d", image, "-o", tmp_path / "inside")
    assert (tmp_path / "inside").read_bytes() == older.written.read_bytes()
    found = verify(image, None, 2, 1 << 27, lambda *_: None)
    assert found.index is not None
    assert (found.header.format, made.used) == ("partclone 0001", found.index.used_blocks * found.index.block_size)
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("what", ["head -c 3000000", "tr '\\0' x <", "sh -c 'cat $0; exit 3'"])
def test_what_it_does_not_write_to_its_end(older: Older, tmp_path: Path, what: str) -> None:
    older.does(what)
    with pytest.raises(ModelNotRead) as failure:
        capture(older.model, tmp_path / "x.img")
    assert failure.value.hint
    assert not list(tmp_path.glob("*x.img*"))
