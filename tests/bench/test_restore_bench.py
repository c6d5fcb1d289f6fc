"""The measurements themselves, on partitions so small that their figures mean nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ogagent.image.codec import MAX_WINDOW
from ogagent.image.regions import LARGEST_REGION
from ogagent.image.zstd_frame import MAX_FRAME_HEADER, window_size
from ogagent.imagefile.diff import load_beside
from simulator.bench import network, served
from simulator.bench.aims import Aim, aims
from simulator.bench.content import Images, make_images
from simulator.bench.contestants import DD, DECOMPRESS, DECOMPRESS_FRAMES, OPENGNSYS, contestants, engine_name
from simulator.bench.hostile import Hostile, largest_regions, largest_window, restore_hostile
from simulator.bench.restore import Row, compare, run_one
from simulator.bench.target import cache_partition, loop_device

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
    sizes = [path.stat().st_size for path in (images.indexed, images.zstd, images.lzop, images.gzip)]
    assert all(images.used / 8 < size < images.used for size in sizes)


def test_everyone_runs(images: Images, tmp_path: Path) -> None:
    said: list[str] = []
    rows = compare(images, tmp_path, said.append, rounds=2)
    assert [row.name for row in rows] == [each.name for each in contestants()]
    assert [len(row.rounds_s) for row in rows] == [1 if each.once else 2 for each in contestants()]
    ours = [row for row in rows if row.name.startswith("ogagent")]
    assert len(said) == sum(len(row.rounds_s) for row in rows) + len(ours)
    assert all(row.seconds > 0 and row.bytes_per_s > 0 and row.peak_rss > 0 for row in rows)
    assert all(row.one_core_s for row in ours)
    assert all((row.bottleneck is None) == (row.one_core_s is None) == (row not in ours) for row in rows)


def test_who_looks_finds_nothing_of_the_one_before(images: Images, tmp_path: Path) -> None:
    (indexed, *_) = (each for each in contestants() if each.looks)
    with loop_device(SIZE) as device:
        counts = [json.loads(run_one(indexed, images, device, tmp_path).said)["bytes"] for _ in range(2)]
    assert [each["reused"] for each in counts] == [0, 0]


def test_the_target_goes_when_it_was_used() -> None:
    with loop_device(SIZE) as device:
        assert device.is_block_device()
        with device.open("rb") as content:
            assert content.read(MIB) == b"\x5a" * MIB
        backing = Path("/sys/block", device.name, "loop/backing_file").read_text().strip()
        assert Path(backing).exists()
    assert not Path(backing).exists()


def test_a_cache_has_the_room_of_its_device(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    with cache_partition(SIZE, place) as cache:
        assert cache.is_mount()
        assert os.statvfs(cache).f_bfree * os.statvfs(cache).f_frsize > SIZE * 3 / 4
    assert not place.exists()


def test_hostile_images_are_at_the_bounds(images: Images, tmp_path: Path) -> None:
    window, regions = tmp_path / "window.img", tmp_path / "regions.img"
    largest_window(images.plain, window)
    assert window_size(window.read_bytes()[:MAX_FRAME_HEADER]) == MAX_WINDOW
    largest_regions(images.plain, regions)
    assert load_beside(regions).region_size == LARGEST_REGION


def test_hostile_images_are_restored(images: Images, tmp_path: Path) -> None:
    found = restore_hostile(images.plain, SIZE, tmp_path)
    assert all(each.peak_rss > 10 * MIB for each in found)
    assert min(each.written for each in found) == max(each.written for each in found) > images.used * 9 // 10
    assert not list(tmp_path.glob("*.raw"))


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
    names = (OPENGNSYS, DD, DECOMPRESS, DECOMPRESS_FRAMES)
    seconds = {engine_name("zstd", read_back=False): 3.0, engine_name("zstd", read_back=True): 4.5}
    seconds |= {engine_name("indexed", read_back=False): 2.0, engine_name("indexed", read_back=True): 4.0}
    seconds |= {engine_name("lzop", read_back=False): 6.0} | dict(zip(names, (12.0, 2.0, 2.5, 2.0), strict=True))
    rows = [Row(name, each, each, 100 * MIB, 1e9, None, 3.6, [each]) for name, each in seconds.items()]
    hostile = [Hostile("one", 160 * MIB, 1), Hostile("another", 161 * MIB, 1)]
    of_agent = served.Served(1.0, 2.0, 100, 100 * MIB, 3.0)
    found = aims(rows, of_agent, of_agent, hostile, network.Arrival(700e6, 1e9), network.Link(10.0, 9.8))
    missed = {aim.name for aim in found if not aim.reached}
    assert missed == {
        "zstd, time against zstd, dd",
        "zstd, time against zstd to /dev/null",
        "memory of another",
        "read-back, time against none",
        "image over the loopback, to nowhere",
    }
    assert Aim("zstd, time against lzop, mbuffer, partclone.restore", 0.25, 0.25) in found
    assert Aim("indexed, time against zstd to /dev/null, the frames of indexed", 1.0, 1.0) in found
    assert Aim("indexed, time on one core against all", 1.8, 1.8, at_least=True) in found
