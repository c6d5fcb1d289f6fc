"""``.lock`` and ``.full.sum`` beside an image, as they lie in a repository."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from ogagent.errors import ImageCorrupt, ImageLocked
from ogagent.restore.sidecars import WholeFileSum, refuse_locked
from ogagent.source.file import FileSource

CHUNKS = (b"first " * 1000, b"second " * 1000, b"third")


def image(directory: Path, full_sum: str | None = None) -> str:
    path = directory / "x.img"
    path.write_bytes(b"".join(CHUNKS))
    if full_sum is not None:
        path.with_name("x.img.full.sum").write_text(full_sum)
    return str(path)


async def proof(path: str) -> WholeFileSum:
    async with FileSource.open(path) as source:
        found = await WholeFileSum.beside(source)
    for chunk in CHUNKS:
        await found.update(chunk)
    return found


async def test_a_locked_image_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path)
    async with FileSource.open(path) as source:
        await refuse_locked(source)
        (tmp_path / "x.img.lock").touch()
        with pytest.raises(ImageLocked) as refused:
            await refuse_locked(source)
    assert refused.value.number == 4


@pytest.mark.parametrize("form", ["{}", "{}\n", "{}  x.img\n"])
async def test_the_right_sum(tmp_path: Path, form: str) -> None:
    right = hashlib.md5(b"".join(CHUNKS), usedforsecurity=False).hexdigest()
    await (await proof(image(tmp_path, form.format(right)))).check()
    await (await proof(image(tmp_path, form.format(right.upper())))).check()


async def test_a_wrong_sum(tmp_path: Path) -> None:
    with pytest.raises(ImageCorrupt, match="MD5") as refused:
        await (await proof(image(tmp_path, "0" * 32))).check()
    assert refused.value.number == 33


async def test_without_a_sum_nothing_is_claimed(tmp_path: Path) -> None:
    await (await proof(image(tmp_path))).check()


async def test_a_sum_that_is_none_is_ignored_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await (await proof(image(tmp_path, "<html>not found</html>"))).check()
    assert ".full.sum" in caplog.text
