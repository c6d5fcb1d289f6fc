"""The measurement of captures, on partitions so small that their seconds mean nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from simulator.bench.capture import Captured, Memory, Result, aims, bench_capture
from simulator.bench.capturers import COMPRESSING, OPENGNSYS, PARTCLONE_ZSTD, Row, capturers, compare, engine_name
from simulator.bench.models import Filesystem, Model, model
from simulator.bench.network import link
from simulator.bench.upload import Upload, rate_for, upload
from simulator.processes import measure

MIB = 1 << 20
SIZE = 48 * MIB

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts and loop devices need root"),
    pytest.mark.xdist_group("bench"),
]


@pytest.fixture(scope="module")
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with model("ext4", SIZE, tmp_path_factory.mktemp("ext4")) as made:
        yield made


def test_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench_capture(SIZE, tmp_path / "figures.json")
    result = msgspec.json.decode((tmp_path / "figures.json").read_bytes(), type=Result)
    found = [each.filesystem for each in result.captured]
    assert found == ["ext4", "ntfs"] or (found == ["ext4"] and "ntfs is left out" in result.left_out[-1])
    for each in result.captured:
        assert [row.name for row in each.rows] == [capturer.name for capturer in capturers()]
        assert all(len(row.rounds_s) == 3 and row.seconds > 0 and row.peak_rss > 10 * MIB for row in each.rows)
        assert SIZE / 2 < each.used < SIZE
    assert [each.name for each in result.memory] == ["16 threads", "40 GiB partition"]
    assert all(each.peak_rss > 10 * MIB for each in result.memory)
    assert len(result.aims) == 4 * len(result.captured) + 2 + (result.upload is not None)
    printed = capsys.readouterr().out
    names = [*(capturer.name for capturer in capturers()), *(aim.name for aim in result.aims)]
    assert all(f"| {name} |" in printed for name in names)
    assert all(why in printed for why in result.left_out)


def test_everyone_makes_an_image(ext4: Model, tmp_path: Path) -> None:
    said: list[str] = []
    rows = compare(ext4, tmp_path, said.append, rounds=1)
    assert len(said) == len(rows)
    for row, each in zip(rows, capturers(), strict=True):
        if each.limit:
            assert row.image is None
        else:
            assert row.image is not None
            assert ext4.used / 8 < row.image < ext4.used
    by_name = {row.name: row.image or 0 for row in rows}
    assert by_name[engine_name(6)] < by_name[engine_name(3)] < by_name[engine_name(1)] < by_name[OPENGNSYS]
    assert list(ext4.plain.parent.iterdir()) == [ext4.plain]


def test_what_the_pipelines_make_is_what_partclone_makes(ext4: Model, tmp_path: Path) -> None:
    pipelines = {each.name: each.commands(ext4, tmp_path) for each in capturers()}
    for name, unpack in ((OPENGNSYS, "lzop"), (PARTCLONE_ZSTD, "zstd")):
        measure([*pipelines[name], [unpack, "-dc"]], stdout=tmp_path / "unpacked")
        assert (tmp_path / "unpacked").read_bytes() == ext4.plain.read_bytes()


def test_over_a_link(ext4: Model, tmp_path: Path) -> None:
    with link("200mbit"):
        sent = upload(ext4, "200mbit", tmp_path, rounds=1)
    # Only that the link has the rate it should: the image cannot have gone faster.
    assert min(sent.engine_s, sent.curl_s) > (sent.size - 2 * MIB) / 25e6
    assert sorted(path.name for path in ext4.plain.parent.iterdir()) == ["images", "plain.img"]
    assert not list((ext4.plain.parent / "images").iterdir())


@pytest.mark.parametrize(("made_per_s", "rate"), [(300e6, "1gbit"), (249e6, "200mbit"), (1e6, "200mbit")])
def test_the_link_is_what_is_waited_for(made_per_s: float, rate: str) -> None:
    assert rate_for(made_per_s) == rate


def test_what_was_aimed_at() -> None:
    found = aims(
        [_captured("ext4", 100 * MIB, 5.0, 10.0, 6.2, 4.4), _captured("ntfs", 161 * MIB, 5.0, 9.9, 6.3, 4.3)],
        [Memory("16 threads", 160 * MIB), Memory("40 GiB partition", 161 * MIB)],
        Upload("200mbit", 100 * MIB, engine_s=10.0, curl_s=9.4),
    )
    assert [aim.name for aim in found if not aim.reached] == [
        "ext4, level 3, time against partclone, zstd -T0 -3",
        "ntfs, level 3, time against partclone, mbuffer, lzop",
        "ntfs, level 3, time against zstd -T0 -3 to /dev/null, partclone's image",
        "memory of a capture, ntfs",
        "memory of a capture, 40 GiB partition",
        "link of 200mbit, speed against curl",
    ]
    assert len(found) == 11


def _captured(
    filesystem: Filesystem, peak_rss: int, ours: float, opengnsys: float, partclone_zstd: float, zstd: float
) -> Captured:
    seconds = {engine_name(3): ours, OPENGNSYS: opengnsys, PARTCLONE_ZSTD: partclone_zstd, COMPRESSING: zstd}
    rows = [Row(name, name == engine_name(3), each, None, each, peak_rss, [each]) for name, each in seconds.items()]
    return Captured(filesystem, 1 << 30, rows)
