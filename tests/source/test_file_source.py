"""Images in files of this machine."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ogagent.errors import ImageChanged, ImageNotFound
from ogagent.source.file import FileSource
from ogagent.source.source import SourcePolicy, open_source
from ogagent.system.tls import client_context

IMAGE = random.Random(2).randbytes(5_000_001)


async def test_a_whole_file(tmp_path: Path) -> None:
    image = tmp_path / "image-test.img"
    image.write_bytes(IMAGE)
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=1, retry_for_s=0)
    async with open_source(image.as_uri(), policy, lambda: None) as source:
        assert source.size == len(IMAGE)
        assert b"".join([chunk async for chunk in source.chunks()]) == IMAGE


async def test_an_empty_file(tmp_path: Path) -> None:
    image = tmp_path / "image-test.img"
    image.touch()
    async with FileSource.open(str(image)) as source:
        assert source.size == 0
        assert [chunk async for chunk in source.chunks()] == []


async def test_what_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.img", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ImageNotFound, match=str(path)) as failure:
            async with FileSource.open(str(path)):
                pass
        assert failure.value.number == 2


async def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    image = tmp_path / "image-test.img"
    image.write_bytes(IMAGE)
    async with FileSource.open(str(image)) as source:
        chunks = source.chunks()
        assert IMAGE.startswith(await anext(chunks))
        os.truncate(image, 100)
        with pytest.raises(ImageChanged, match="became shorter"):
            await anext(chunks)
