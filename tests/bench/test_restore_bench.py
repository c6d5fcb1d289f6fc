"""The measurements themselves, on partitions so small that their figures mean nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulator.bench import network, served
from simulator.bench.aims import Aim, aims
from simulator.bench.content import Images, make_images
from simulator.bench.contestants import DD, DECOMPRESS, OPENGNSYS, contestants, engine_name
from simulator.bench.restore import Row, compare
from simulator.bench.target import loop_device

MIB = 1 << 20
SIZE = 48 * MIB

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts and loop devices need root"),
    pytest.mark.xdist_group("bench"),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return make_images(tmp_path_factory.mktemp("images"), SIZE)


def test_the_images_are_of_one_partition(images: Images) -> None:
    assert images.size == SIZE
    assert images.size / 2 < images.used < images.size
    sizes = [path.stat().st_size for path in (images.zstd, images.lzop, images.gzip)]
    assert all(images.used / 8 < size < images.used for size in sizes)


def test_everyone_runs(images: Images, tmp_path: Path) -> None:
    said: list[str] = []
    rows = compare(images, tmp_path, said.append, rounds=1)
    assert [row.name for row in rows] == [each.name for each in contestants()]
    assert len(said) == len(rows)
    assert all(row.wall_s > 0 and row.bytes_per_s > 0 and row.peak_rss > 0 for row in rows)
    assert all((row.bottleneck is not None) == row.name.startswith("ogagent") for row in rows)


def test_the_target_goes_when_it_was_used() -> None:
    with loop_device(SIZE) as device:
        assert device.is_block_device()
        with device.open("rb") as content:
            assert content.read(MIB) == b"\x5a" * MIB
        backing = Path("/sys/block", device.name, "loop/backing_file").read_text().strip()
        assert Path(backing).exists()
    assert not Path(backing).exists()


def test_over_the_loopback(images: Images, tmp_path: Path) -> None:
    arrival = network.over_loopback(images.zstd, tmp_path)
    assert arrival.written_per_s > arrival.received_per_s > 0


def test_over_a_link(images: Images, tmp_path: Path) -> None:
    link = network.over_link(images.zstd, tmp_path)
    # Only that the link has the rate it should: the file cannot have come faster.
    assert min(link.engine_s, link.curl_s) > (images.zstd.stat().st_size - 2 * MIB) / 125e6


def test_the_whole_agent(images: Images, tmp_path: Path) -> None:
    found = served.restore_and_watch(images.zstd, SIZE, tmp_path)
    assert found.asked > 1
    assert 0 < found.status_p50_ms <= found.status_p99_ms
    assert found.peak_rss > 10 * MIB


def test_what_was_aimed_at() -> None:
    names = (OPENGNSYS, DD, DECOMPRESS)
    seconds = {engine_name("zstd", read_back=False): 3.0, engine_name("zstd", read_back=True): 4.5}
    seconds |= {engine_name("lzop", read_back=False): 6.0} | dict(zip(names, (12.0, 2.0, 3.0), strict=True))
    rows = [Row(name, wall_s, wall_s, 100 * MIB, 1e9, None, [wall_s]) for name, wall_s in seconds.items()]
    of_agent = served.Served(1.0, 2.0, 100, 100 * MIB, 3.0)
    found = aims(rows, of_agent, of_agent, network.Arrival(700e6, 1e9), network.Link(10.0, 9.8))
    missed = {aim.name for aim in found if not aim.reached}
    assert missed == {
        "zstd, time against zstd, dd",
        "read-back, time against none",
        "image over the loopback, to nowhere",
    }
    assert found[0] == Aim("zstd, time against lzop, mbuffer, partclone.restore", 0.25, 0.25)
