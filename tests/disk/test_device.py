"""A part of a file, written past the page cache where that can be."""

from __future__ import annotations

import mmap
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.disk.device import BlockDevice
from ogagent.errors import WriteFailed

PAGE: Final = 4096
SIZE: Final = 64 * PAGE
NOISE: Final = random.Random(6).randbytes(2 * SIZE)
FULL: Final = b"\x5a" * (2 * SIZE)
BASES: Final = (0, 512, PAGE, 3 * PAGE + 512)

Open = Callable[..., BlockDevice]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(FULL)
    return path


@pytest.fixture
def opened(disk: Path) -> Iterator[Open]:
    devices: list[BlockDevice] = []

    def open_device(base: int = 0, flags: int = os.O_RDWR, size: int = SIZE) -> BlockDevice:
        devices.append(BlockDevice(os.open(disk, flags), base=base, size=size, sector_size=512, name="/dev/sda2"))
        return devices[-1]

    yield open_device
    for device in devices:
        device.close()


def buffer(data: bytes, shift: int = 0) -> memoryview:
    """A copy in memory that begins on a page, or so many bytes after one."""
    memory = mmap.mmap(-1, max(len(data) + shift, 1))
    view = memoryview(memory)[shift : shift + len(data)]
    view[:] = data
    return view


def expected(base: int, offset: int, data: bytes) -> bytes:
    return FULL[: base + offset] + data + FULL[base + offset + len(data) :]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("offset", [0, 1, 512, PAGE, SIZE - 2 * PAGE, SIZE - 1])
@pytest.mark.parametrize("length", [1, 511, PAGE, 2 * PAGE, 2 * PAGE + 1, SIZE])
@pytest.mark.parametrize("shift", [0, 8])
def test_a_write_lands_where_it_belongs(
    opened: Open, disk: Path, base: int, offset: int, length: int, shift: int
) -> None:
    device = opened(base)
    data = buffer(NOISE[:length], shift)
    if offset + length > SIZE:
        with pytest.raises(WriteFailed, match="outside"):
            device.write(offset, data)
        assert disk.read_bytes() == FULL
        return
    device.write(offset, data)
    device.flush()
    assert disk.read_bytes() == expected(base, offset, NOISE[:length])
    into = buffer(bytes(length), shift)
    device.read_back(offset, into)
    assert bytes(into) == NOISE[:length]


def test_memory_that_cannot_be_written_to(opened: Open, disk: Path) -> None:
    device = opened(PAGE)
    device.write(PAGE, memoryview(NOISE[:PAGE]))
    device.flush()
    assert disk.read_bytes() == expected(PAGE, PAGE, NOISE[:PAGE])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.integers(1, 20), st.sampled_from([0, 1, 512]), st.booleans()),
        max_size=8,
    )
)
def test_aligned_and_unaligned_writes_after_each_other(
    opened: Open, disk: Path, writes: list[tuple[int, int, int, bool]]
) -> None:
    """What went through the page cache and what went past it must not hide each other."""
    disk.write_bytes(FULL)
    device = opened(PAGE)
    model = bytearray(FULL[:SIZE])
    for number, (start, count, shift, empty) in enumerate(writes):
        offset = start * PAGE // 2 + shift
        data = bytes(count * PAGE // 2) if empty else NOISE[number : number + count * PAGE // 2]
        if empty:
            device.zero(offset, len(data))
        else:
            device.write(offset, buffer(data))
        model[offset : offset + len(data)] = data
        into = buffer(bytes(SIZE))
        device.read_back(0, into)
        assert into == model
    device.flush()
    assert disk.read_bytes() == FULL[:PAGE] + bytes(model) + FULL[PAGE + SIZE :]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("offset", "length"), [(0, SIZE), (0, PAGE), (1, 1), (PAGE, 5 * PAGE + 7), (SIZE, 0)])
def test_zero(opened: Open, disk: Path, base: int, offset: int, length: int) -> None:
    device = opened(base)
    device.zero(offset, length)
    device.flush()
    assert disk.read_bytes() == expected(base, offset, bytes(length))


def test_zeros_take_no_room_in_a_file(opened: Open, disk: Path) -> None:
    before = disk.stat().st_blocks
    opened(0).zero(0, SIZE)
    assert disk.stat().st_blocks <= before - SIZE // 512


def test_zero_more_than_it_has_zeros(opened: Open, disk: Path) -> None:
    size = (5 << 20) + 512
    os.truncate(disk, size + PAGE)
    device = opened(0, size=size)
    device.write(size - 512, buffer(NOISE[:512]))
    device.zero(512, size - 1024)
    device.flush()
    assert disk.read_bytes() == FULL[:512] + bytes(size - 1024) + NOISE[:512] + bytes(PAGE)


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (-PAGE, PAGE), (SIZE, 1), (SIZE - 1, 2), (1 << 60, 1)])
def test_out_of_range(opened: Open, disk: Path, offset: int, length: int) -> None:
    device = opened(2 * PAGE)
    with pytest.raises(WriteFailed, match="outside"):
        device.write(offset, buffer(bytes(length)))
    with pytest.raises(WriteFailed, match="outside"):
        device.zero(offset, length)
    with pytest.raises(WriteFailed, match="outside"):
        device.read_back(offset, buffer(bytes(length)))
    assert disk.read_bytes() == FULL


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("offset", [0, 3, PAGE])
def test_read_back_sees_what_others_made_of_it(opened: Open, disk: Path, base: int, offset: int) -> None:
    device = opened(base)
    device.write(offset, buffer(NOISE[:PAGE]))
    device.flush()
    with disk.open("r+b") as file:
        file.seek(base + offset + 100)
        file.write(b"changed")
        os.fsync(file.fileno())
    into = buffer(bytes(PAGE))
    device.read_back(offset, into)
    assert bytes(into) == NOISE[:100] + b"changed" + NOISE[107:PAGE]


def test_read_back_where_nothing_is(opened: Open, disk: Path) -> None:
    os.truncate(disk, PAGE)
    with pytest.raises(WriteFailed, match="nothing to read at offset 8192"):
        opened().read_back(2 * PAGE, buffer(bytes(PAGE)))


def test_a_file_that_cannot_be_written(opened: Open, disk: Path) -> None:
    device = opened(flags=os.O_RDONLY)
    with pytest.raises(WriteFailed, match=r"writing /dev/sda2 at offset 7 failed: .*\(EBADF\)") as caught:
        device.write(7, memoryview(NOISE[:10]))
    assert (caught.value.number, caught.value.code) == (14, "write-failed")
    assert caught.value.hint
    assert disk.read_bytes() == FULL


def test_a_device_that_is_full() -> None:
    """/dev/full takes no byte, and says so."""
    with BlockDevice(os.open("/dev/full", os.O_RDWR), base=0, size=SIZE, sector_size=512, name="full") as device:
        with pytest.raises(WriteFailed, match=r"writing full at offset 8 failed: .*\(ENOSPC\)"):
            device.write(8, memoryview(NOISE[:10]))
        with pytest.raises(WriteFailed, match=r"flushing full failed: .*\(EINVAL\)"):
            device.flush()


def test_it_closes_what_it_owns(disk: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are enough
    with BlockDevice(os.open(disk, os.O_RDWR), base=0, size=SIZE, sector_size=512, name="x") as device:
        assert device.size == SIZE
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
