"""The model that is captured, and what lies in the repository before: an image, the one before it, and somebody else's.

What the new image must be is told by tools that share nothing with the agent.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.disk.machine import Device, Machine
from ogagent.model.plan import Target
from simulator.ext4 import fill, make_filesystem, used_blocks
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.partclone_writer import UsedBlocks, partclone_image
from simulator.processes import run
from simulator.tree import Node, noise
from tests.faults.framed import framed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB: Final = 1 << 20
MODEL: Final = Entry(number=1, start=MIB, size=16 * MIB, type=LINUX_FILESYSTEM, name="Linux")
DISK_SIZE: Final = 18 * MIB
BLOCK: Final = 4096
_UUID: Final = "01936caf-facb-72ad-9446-97e7dbf2b96a"
_HOLES: Final = (2, 5)
"""Of the small files these are removed again: free blocks between used ones."""

Files = dict[str, bytes]
SIDECARS: Final = (".full.sum", ".index", ".info", ".sum")


def _old() -> Files:
    image = framed("crc32")
    sums = {".full.sum": hashlib.md5(image.data).hexdigest().encode(), ".sum": b"of its last MiB\n"}
    beside = {**image.signed, **sums, ".info": b"old info\n", ".torrent": b"old torrent"}
    return {"x.img": image.data, **{f"x.img{suffix}": content for suffix, content in beside.items()}}


OLD: Final[Files] = _old()
OLDER: Final[Files] = {
    "x.img.ant": b"the one before",
    "x.img.ant.info": b"older info\n",
    "x.img.ant.index": b"older index",
    "x.img.ant.index.sig": b"older signature",
}
OTHERS: Final[Files] = {"y.img": b"somebody else's", "y.img.lock": b"CrearImagen-22222222\n"}


class Model(Struct, frozen=True):
    """``disk`` with ``blocks`` of its first partition in use."""

    disk: bytes
    blocks: UsedBlocks

    @property
    def used(self) -> int:
        """Bytes."""
        return self.blocks.used * BLOCK

    @property
    def free(self) -> list[range]:
        """Blocks."""
        starts = [used.stop for used in self.blocks.ranges]
        stops = [used.start for used in self.blocks.ranges[1:]]
        return [range(*ends) for ends in zip(starts, [*stops, self.blocks.block_count], strict=True)]

    @property
    def stream(self) -> bytes:
        """What the image is when it is unpacked."""
        partition = self.disk[MODEL.start : MODEL.start + MODEL.size]
        return b"".join(partclone_image(BytesIO(partition), self.blocks, "EXTFS"))

    def is_in(self, image: bytes) -> bool:
        return unpacked(image) == self.stream


@cache
def the_model(*, large: bool = False) -> Model:
    """A ``large`` one is more than the kernel takes of an upload that the repository does not take."""
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        disk = Path(folder, "disk")
        _make_disk(disk, 9 * MIB if large else 3 * MIB // 2)
        return Model(disk.read_bytes(), used_blocks(disk, offset=MODEL.start))


def _make_disk(disk: Path, noisy: int) -> None:
    with disk.open("wb") as file:
        file.write(noise("disk", DISK_SIZE))  # what is not in use is not to be seen in the image
        write_table(file, DISK_SIZE, (MODEL,))
    make_filesystem(disk, MODEL.size, uuid=_UUID, label="", offset=MODEL.start)
    small = {f"/small-{number}": _file(noise(f"small {number}", 4 * BLOCK)) for number in range(8)}
    fill(disk, {**small, "/vmlinuz": _file(noise("vmlinuz", noisy)), "/swap": _file(bytes(MIB))}, offset=MODEL.start)
    debugfs(disk, *(f"rm /small-{number}" for number in _HOLES))


def debugfs(disk: Path, *commands: str) -> None:
    """On the model; nothing asks whether somebody holds it."""
    with tempfile.NamedTemporaryFile("w", prefix="debugfs-") as script:
        script.write("\n".join(commands) + "\n")
        script.flush()
        run(["debugfs", "-w", "-f", script.name, f"{disk}?offset={MODEL.start}"])


def unpacked(image: bytes) -> bytes:
    return zstd.decompress(image)


class Reads:
    """A machine whose device calls ``before`` with the number of each read, from 0, however often it is opened."""

    def __init__(self, machine: Machine, before: Callable[[int], object]) -> None:
        self._machine = machine
        self._before = before
        self.inventory = machine.inventory
        self.count = 0

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        with self._machine.open_target(target) as device:
            yield _Reading(device, self._next)

    def _next(self) -> None:
        number, self.count = self.count, self.count + 1
        self._before(number)


class _Reading:
    def __init__(self, device: Device, before: Callable[[], None]) -> None:
        self._device = device
        self._before = before
        self.size = device.size
        self.write, self.zero, self.flush = device.write, device.zero, device.flush

    def read_back(self, offset: int, into: memoryview) -> None:
        self._before()
        self._device.read_back(offset, into)


def _file(content: bytes) -> Node:
    return Node(kind="file", content=content)
