"""Images in files of this machine."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import aclosing
from pathlib import Path

import pytest

from ogagent.errors import ImageChanged, ImageNotFound, RepositoryUnreachable
from ogagent.source.file import FileSource
from ogagent.source.source import SourcePolicy, open_source
from ogagent.system.tls import client_context
from tests.source.hung_share import HungShare, all_closed

IMAGE = random.Random(2).randbytes(5_000_001)


async def test_a_whole_file(tmp_path: Path) -> None:
    image = tmp_path / "image-test.img"
    image.write_bytes(IMAGE)
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=1, retry_for_s=0)
    async with open_source(image.as_uri(), policy, lambda: None) as source:
        assert source.size == len(IMAGE)
        assert b"".join([chunk async for chunk in source.chunks()]) == IMAGE


async def test_links_lead_out_of_no_repository(tmp_path: Path) -> None:
    """Neither the file's own, nor that of a directory on the way, nor a sidecar's; others are followed."""
    inside = tmp_path / "images"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for file in (tmp_path / "outside/secret.img", inside / "sub/good.img", tmp_path / "images2"):
        file.write_bytes(b"content")
    (inside / "file.img").symlink_to(tmp_path / "outside/secret.img")
    (inside / "way").symlink_to(tmp_path / "outside")
    (inside / "neighbour.img").symlink_to(tmp_path / "images2")
    (inside / "link.img").symlink_to("sub/good.img")
    (inside / "link.img.lock").symlink_to(tmp_path / "outside/secret.img")
    for name in ("file.img", "way/secret.img", "neighbour.img", "../outside/secret.img"):
        with pytest.raises(ImageNotFound, match="leads out of"):
            async with FileSource.open(f"{inside}/{name}", str(inside)):
                pass
    async with FileSource.open(f"{inside}/link.img", str(inside)) as source:
        assert source.size == 7
        with pytest.raises(ImageNotFound, match="leads out of"):
            await source.sidecar(".lock", 4096)


async def test_parts_of_a_file(tmp_path: Path) -> None:
    image = tmp_path / "image-test.img"
    image.write_bytes(IMAGE)
    async with FileSource.open(str(image)) as source:
        for start, stop in ((0, 0), (0, 1), (7, 4_000_000), (len(IMAGE) - 3, len(IMAGE) + 3)):
            assert b"".join([chunk async for chunk in source.part(start, stop)]) == IMAGE[start:stop]
        assert await source.sidecar(".index", 10) is None
        (tmp_path / "image-test.img.index").write_bytes(IMAGE)
        assert await source.sidecar(".index", 10) == IMAGE[:10]


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


async def test_what_is_no_file_beside_an_image_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody ever writes into the FIFO: whoever opened it to read would stay for good."""
    image = tmp_path / "image-test.img"
    image.write_bytes(IMAGE)
    os.mkfifo(tmp_path / "image-test.img.lock")
    (tmp_path / "image-test.img.index").mkdir()
    async with FileSource.open(str(image)) as source:
        for suffix in (".lock", ".index"):
            with pytest.raises(ImageNotFound, match=f"{suffix} is not a file"):
                await source.sidecar(suffix, 4096)


@pytest.mark.parametrize("call", ["open", "fstat", "pread"])
async def test_a_share_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The job ends, and nothing is left open when the share has come back."""
    (image := tmp_path / "image-test.img").write_bytes(IMAGE)
    share = HungShare(call, monkeypatch)
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=1, retry_for_s=1)
    try:
        with pytest.raises(RepositoryUnreachable, match="does not answer") as failure:
            async with open_source(image.as_uri(), policy, lambda: None) as source:
                [chunk async for chunk in source.chunks()]
        assert failure.value.hint
        assert share.asked.is_set()
    finally:
        share.back.set()
    await all_closed(image)


@pytest.mark.parametrize("call", ["open", "pread", "close"])
async def test_a_cancel_while_a_share_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (image := tmp_path / "image-test.img").write_bytes(IMAGE)
    share = HungShare(call, monkeypatch)

    async def read() -> None:
        async with FileSource.open(str(image)) as source, aclosing(source.chunks()) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0)

    task = asyncio.create_task(read())
    try:
        assert await asyncio.to_thread(share.asked.wait, 300)
        task.cancel()
        await asyncio.wait([task], timeout=300)
        assert task.done()
        others = [os.open("/dev/zero", os.O_RDONLY) for _ in range(9)]  # a descriptor that is closed gets another file
    finally:
        share.back.set()
    await all_closed(image)
    assert call != "pread" or share.answers == [IMAGE[: 2 << 20]]
    for fd in others:
        os.close(fd)


async def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    image = tmp_path / "image-test.img"
    image.write_bytes(IMAGE)
    async with FileSource.open(str(image)) as source:
        chunks = source.chunks()
        assert IMAGE.startswith(await anext(chunks))
        os.truncate(image, 100)
        with pytest.raises(ImageChanged, match="became shorter"):
            await anext(chunks)
