"""Success is counted: a block that nobody wrote is in nobody's list of what to read back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from ogagent.disk.machine import Device
from ogagent.errors import InternalError
from ogagent.image.piece import Extent, Piece
from ogagent.model.plan import ImageHeader
from ogagent.restore.caching import Cache
from ogagent.restore.job import _write_image
from ogagent.restore.progress import Progress
from ogagent.restore.writer import PartitionWriter, Written
from tests.restore.test_plan import plan

MIB = 1 << 20
SIZE = 8 * MIB
BLOCK = 4096


class Disk:
    """Implements ``ogagent.disk.machine.Device``."""

    size = SIZE

    def __init__(self) -> None:
        self.content = bytearray(b"\xff") * SIZE

    def write(self, offset: int, data: memoryview) -> None:
        self.content[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int) -> None:
        self.write(offset, memoryview(bytes(length)))

    def flush(self) -> None: ...

    def read_back(self, offset: int, into: memoryview) -> None:
        into[:] = self.content[offset : offset + len(into)]


class Forgetful:
    """Implements ``ogagent.restore.delivery.Delivery``: of its blocks it lays down ``laid``."""

    header = ImageHeader(
        container="zstd", format="raw", filesystem="EXT4", block_size=BLOCK, device_size=SIZE, used_bytes=None
    )

    def __init__(self, laid: int) -> None:
        self._laid = laid

    def prepare(self) -> int:
        return 3 * BLOCK

    def look(self, device: Device, writer: PartitionWriter) -> None: ...

    async def run(self, writer: PartitionWriter, executor: Executor) -> None:  # noqa: ARG002 - as Delivery has it
        for number in range(self._laid):
            place = 3 * MIB + number * BLOCK
            writer.write(Piece(memoryview(bytes([number]) * BLOCK), BLOCK, [Extent(place, 0, BLOCK)], []))

    def written(self) -> Iterator[Written]:
        return iter(())

    def end(self) -> int:
        return SIZE

    async def leave(self) -> None: ...

    def stop(self) -> None: ...


async def lay_down(laid: int) -> tuple[Disk, Progress]:
    disk, progress, delivery = Disk(), Progress(), Forgetful(laid)
    progress.total = delivery.prepare()
    with ThreadPoolExecutor() as executor:
        try:
            await _write_image(delivery, disk, plan(), lambda: None, Cache(), executor, progress)
        finally:
            assert progress.touched
    return disk, progress


async def test_one_block_less_is_no_success() -> None:
    with pytest.raises(InternalError, match="8192 bytes of the image were laid down, it has 12288"):
        await lay_down(2)


async def test_all_of_them_are() -> None:
    disk, progress = await lay_down(3)
    assert progress.committed
    assert disk.content[3 * MIB : 3 * MIB + 3 * BLOCK] == b"\0" * BLOCK + b"\1" * BLOCK + b"\2" * BLOCK
