"""A look at the image before anything is written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import ImageTooLarge, RepositoryUnreachable
from ogagent.model.plan import Target
from ogagent.restore.preview import Previewer
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context

SIZE = 1 << 20


def plan(source: str, size: int = SIZE) -> RestorePlan:
    target = Target(
        disk=1, partition=2, device="/dev/sda2", disk_device="/dev/sda", identity="w", start=0, size=size,
        sector_size=512,
    )  # fmt: skip
    request = RestoreRequest(dsk=1, par=2, idi="i", nci="image-test", ipr="127.0.0.1")
    return RestorePlan(request=request, target=target, source=source)


def previewer(timeout_s: float = 30) -> Previewer:
    policy = SourcePolicy(tls=client_context("", ""), networks=None, stall_timeout_s=60, retry_for_s=600)
    return Previewer(policy, timeout_s)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The bytes by which an ext file system is known: block size, block count, magic."""
    content = bytearray(SIZE)
    content[0x404:0x408] = (SIZE // 1024).to_bytes(4, "little")
    content[0x438:0x43A] = b"\x53\xef"
    (tmp_path / "image").write_bytes(content)
    return tmp_path / "image"


async def test_target_source_and_header(image: Path) -> None:
    preview = await previewer().preview(plan(image.as_uri()))
    assert (preview.target.device, preview.source) == ("/dev/sda2", image.as_uri())
    assert (preview.image.format, preview.image.device_size) == ("raw", SIZE)


async def test_what_the_job_will_warn_of(image: Path) -> None:
    asleep = plan(image.as_uri())
    place = replace(asleep.target, partition=3, device="/dev/sda3")
    preview = await previewer().preview(replace(asleep, suspended=(place,), sleeping=(place,)))
    assert [warning[:14] for warning in preview.warnings] == ["032-the Linux ", "032-Windows is"]


async def test_an_image_that_does_not_fit(image: Path) -> None:
    with pytest.raises(ImageTooLarge):
        await previewer().preview(plan(image.as_uri(), SIZE - 512))


async def test_a_repository_that_says_nothing_is_not_waited_for() -> None:
    """The time limits of a running job, minutes, do not apply; more callers than turns all hear the same."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        source = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/image"
        impatient = previewer(timeout_s=0.05)
        failures = await asyncio.gather(*(impatient.preview(plan(source)) for _ in range(8)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {RepositoryUnreachable}
