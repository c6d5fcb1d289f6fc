"""File systems of which not much is left: whether they were left in order is told all the same, and none is called so
that nobody understands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import ClassVar, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.disk.clean import uncleanliness
from ogagent.disk.volume import Volume
from tests.disk.conftest import Tool
from tests.disk.test_clean import BLOCK, MAKE, MIB, SIZE, UNKNOWN, Sparse, reason

KINDS: Final = ("ext4", "vfat", "exfat", "ntfs", "btrfs", "f2fs", "xfs")
PLACES: Final = {
    "ext4": ((1024, 1024),),
    "vfat": ((0, 512), (32 * 512, 8)),
    "exfat": ((0, 512),),
    "ntfs": ((0, 512), (4 * 4096 + 2 * 1024, 1024), (4 * 4096 + 3 * 1024, 1024)),
    "btrfs": ((64 << 10, 4096),),
    "f2fs": ((1024, 128), (512 * 4096, 256), (517 * 4096, 256), (1024 * 4096, 256)),
    "xfs": ((0, 512),),
}


class Watched(Volume, frozen=True):
    """Counts the bytes that are read."""

    count: ClassVar[list[int]] = []

    def read(self, at: int, length: int) -> bytes:
        self.count.append(length)
        return super().read(at, length)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 512, 1500, 65 << 10, MIB])
def test_nothing_there_is_not_in_order(kind: str, size: int, sparse: Sparse) -> None:
    assert reason(sparse(size), kind) == UNKNOWN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [100, 511])
def test_cut_off(kind: str, size: int, sparse: Sparse, tool: Tool) -> None:
    path = sparse(SIZE)
    tool(*MAKE[kind], path)
    os.truncate(path, size)
    assert reason(path, kind) == UNKNOWN


@pytest.mark.parametrize("kind", ["ntfs", "f2fs", "xfs"])
def test_cut_off_before_its_log(kind: str, sparse: Sparse, tool: Tool) -> None:
    path = sparse(SIZE)
    tool(*MAKE[kind], path)
    os.truncate(path, 16 << 10)
    assert reason(path, kind) == UNKNOWN


@pytest.fixture(scope="module", params=KINDS)
def honest(
    request: pytest.FixtureRequest, tool: Tool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Volume]]:
    path = tmp_path_factory.mktemp("honest") / "volume"
    with path.open("xb") as file:
        file.truncate(SIZE)
    tool(*MAKE[request.param], path)
    fd = os.open(path, os.O_RDWR)
    yield request.param, Watched(fd, 0, SIZE)
    os.close(fd)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_harms_nobody(honest: tuple[str, Volume], data: st.DataObject) -> None:
    kind, volume = honest
    places = [*PLACES[kind], *([(log_of(volume), 2048)] if kind == "xfs" else [])]
    start, length = data.draw(st.sampled_from(places))
    at = start + data.draw(st.integers(0, length - 1))
    lie = data.draw(
        st.sampled_from((b"\0", b"\xff", b"\xff\xff\xff\xff", bytes(8), b"\xff" * 8))
        | st.binary(min_size=1, max_size=8)
    )
    truth = volume.read(at, len(lie))
    os.pwrite(volume.fd, lie, at)
    Watched.count.clear()
    try:
        unclean = uncleanliness(volume, kind)
    finally:
        os.pwrite(volume.fd, truth, at)
    assert unclean is None or (unclean.reason and unclean.hint)
    assert sum(Watched.count) < MIB


def log_of(volume: Volume) -> int:
    """Where an XFS of one geometry has it: in the middle of its groups."""
    start, bits = int.from_bytes(volume.read(48, 8), "big"), volume.read(124, 1)[0]
    group = int.from_bytes(volume.read(84, 4), "big")
    return ((start >> bits) * group + (start & (1 << bits) - 1)) * BLOCK
