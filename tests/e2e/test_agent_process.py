"""The agent as it is in use: a process of its own, called by curl, on a disk that the kernel takes for one.

Needs root for the loop device, and the programs of image_and_disk.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.block_devices import forget_partitions
from tests.e2e.agent_process import CALL, DISK, configuration, room, until
from tests.e2e.image_and_disk import (
    DISK_SIZE,
    FILESYSTEM_SIZE,
    LAYOUT,
    MIB,
    SECTOR,
    Image,
    LoopDisk,
    as_partclone_writes,
    compressed,
    needs_root,
    needs_tools,
    run,
    wiped,
    within,
)
from tests.mounts import unmount

pytestmark = pytest.mark.xdist_group("agent")

TYPES: Final = {"gpt": ("uefi", "linux", "linux", "linux"), "dos": ("ef", "83", "83", "83")}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/os-release").write_text('NAME="Ubuntu"\nVERSION_ID="24.04"\n')
    (tree / "payload").write_bytes(random.Random(5).randbytes(9 * MIB))
    filesystem = folder / "filesystem"
    run("mkfs.ext4", "-q", "-b", "4096", "-d", tree, filesystem, f"{FILESYSTEM_SIZE // MIB}M")
    plain = folder / "image-test.pcl"
    run("partclone.ext4", "-c", "-F", "-L", folder / "log", "-s", filesystem, "-o", plain)
    return Image(plain, compressed(plain.read_bytes(), folder / "image-test.img"))


@pytest.fixture(params=["gpt"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoopDisk]:
    """Every byte that is no structure is noise, so that a stray write shows."""
    file = tmp_path / "disk"
    file.write_bytes(random.Random(3).randbytes(DISK_SIZE))
    rows = [
        f"start={start}, size={size}, type={kind}"
        for (start, size), kind in zip(LAYOUT.values(), TYPES[request.param], strict=True)
    ]
    run("sfdisk", "-q", "--wipe", "always", file, data="\n".join([f"label: {request.param}", *rows]).encode())
    device = run("losetup", "--show", "-f", file).decode().strip()
    try:
        run("partx", "-a", device)
        disk = LoopDisk(file, device)
        run("mkfs.ext4", "-q", "-F", disk.partition(2))
        run("mkfs.ext4", "-q", "-F", "-L", "CACHE", disk.partition(4))
        yield disk
    finally:
        forget_partitions(device)
        run("losetup", "-d", device)


@needs_root
@needs_tools
@pytest.mark.parametrize("disk", ["gpt", "dos"], indirect=True)
async def test_the_documented_call(disk: LoopDisk, image: Image, tmp_path: Path) -> None:
    before = disk.without_cache()
    async with room(disk, image.file) as here:
        status, answer = await here.deploy()
        assert status == 200
        assert list(answer) == ["job_id"]
        assert re.fullmatch(r"RestaurarImagen-[0-9a-f]{8}", answer["job_id"])
        report = await here.ogcore.final()
        assert (report["res"], report["der"], report["progress"]) == ("1", "", 100)
        assert (report["job_id"], report["nfn"]) == (answer["job_id"], "RESPUESTA_RestaurarImagen")
        assert (report["dsk"], report["par"], report["ifs"], report["ids"]) == (str(DISK), "2", "1", "0")
        assert report["idi"] == "01936caf-facb-72ad-9446-97e7dbf2b96a"
        assert report["ip"] == here.address
        rows = {row["par"]: row for row in report["cfg"]}
        assert (rows["2"]["fsi"], rows["2"]["soi"], rows["4"]["fsi"]) == ("EXT4", "Ubuntu 24.04", "CACHE")
        assert rows["0"]["cpt"] == ("2" if (await here.curl("/disks"))[1]["disks"][0]["table"] == "gpt" else "1")
        _, job = await here.curl(f"/jobs/{answer['job_id']}")
        assert (job["state"], job["progress"], job["error"]) == ("succeeded", 100, None)
        assert job["warnings"] == []
        assert job["bytes"]["written"] == job["bytes"]["read_back"] == job["bytes"]["total"]
    after = disk.without_cache()
    target = within(2)
    assert after[target] == as_partclone_writes(image, before[target], tmp_path)
    assert after[: target.start] == before[: target.start]
    assert after[target.stop :] == before[target.stop :]


@needs_root
@needs_tools
async def test_an_image_that_is_a_file_of_this_machine(disk: LoopDisk, image: Image, tmp_path: Path) -> None:
    before = disk.without_cache()
    async with room(disk, image.file, repository_url=f"file://{image.file.parent}/{{nci}}.img") as here:
        assert (await here.deploy())[0] == 200
        assert (await here.ogcore.final())["res"] == "1"
    assert disk.content()[within(2)] == as_partclone_writes(image, before[within(2)], tmp_path)


@needs_root
@needs_tools
async def test_one_flipped_bit(disk: LoopDisk, image: Image, tmp_path: Path) -> None:
    plain = bytearray(image.plain.read_bytes())
    plain[len(plain) // 2] ^= 1
    before = disk.without_cache()
    assert b' TYPE="ext' in run("blkid", "-p", disk.partition(2))
    async with room(disk, compressed(bytes(plain), tmp_path / "damaged.img")) as here:
        assert (await here.deploy())[0] == 200
        report = await here.ogcore.final()
        assert report["res"] == "2"
        assert report["der"].startswith("033-")
        assert report["progress"] < 100
        (row,) = [row for row in report["cfg"] if row["par"] == "2"]
        assert row["fsi"] == "INCOMPLETE"
        assert (await here.partition(2))["incomplete"] is True
        found = await asyncio.to_thread(run, "blkid", "-p", disk.partition(2))
        assert b"PART_ENTRY_NUMBER=" in found  # what the table says of it
        assert b" TYPE=" not in found  # and nothing of what is inside
        assert wiped(disk)
    after = disk.without_cache()
    assert after[: within(2).start] == before[: within(2).start]
    assert after[within(2).stop :] == before[within(2).stop :]


@needs_root
@needs_tools
async def test_a_partition_one_block_too_small(disk: LoopDisk, image: Image) -> None:
    """Nothing is written, and that is more than to the partition: to mount the CACHE would be to write to it."""
    before = disk.without_cache()
    size = LAYOUT[3][1] * SECTOR
    async with room(disk, image.file) as here:
        assert (await here.deploy(CALL.replace('"par":"2"', '"par":"3"')))[0] == 200
        report = await here.ogcore.final()
        assert report["res"] == "2"
        assert report["der"] == f"030-The image needs {FILESYSTEM_SIZE} bytes, partition 3 of disk {DISK} has {size}"
        assert (await here.partition(3))["incomplete"] is False
    assert disk.without_cache() == before


@needs_root
@needs_tools
async def test_what_is_never_a_target(disk: LoopDisk, image: Image, tmp_path: Path) -> None:
    mount_point = tmp_path / "mounted"
    mount_point.mkdir()
    run("mount", "-o", "ro", disk.partition(2), mount_point)
    try:
        before = disk.without_cache()
        async with room(disk, image.file) as here:
            for par, code in (("4", "target-is-cache"), ("2", "partition-in-use"), ("1", "target-is-system")):
                status, problem = await here.deploy(CALL.replace('"par":"2"', f'"par":"{par}"'))
                assert (status, problem["code"]) == (409, code)
                assert problem["error"]
            assert (await here.partition(2))["mounted"] == str(mount_point)
            assert (await here.curl("/jobs"))[1] == {"jobs": []}
            assert not here.ogcore.finals
        assert disk.without_cache() == before
    finally:
        unmount(mount_point)


@needs_root
@needs_tools
async def test_busy_while_a_job_runs(disk: LoopDisk, image: Image) -> None:
    async with room(disk, image.file) as here:
        here.repository.open.clear()
        assert (await here.curl("/opengnsys/status"))[1] == {"status": "oglive", "loggedin": False}
        _, answer = await here.deploy()
        assert (await here.curl("/opengnsys/status"))[1] == {"status": "busy", "loggedin": False}
        status, problem = await here.deploy()
        assert (status, problem["code"], problem["job_id"]) == (409, "disk-busy", answer["job_id"])
        here.repository.open.set()
        assert (await here.ogcore.final())["res"] == "1"
        assert (await here.curl("/opengnsys/status"))[1] == {"status": "oglive", "loggedin": False}


@needs_root
@needs_tools
async def test_a_stop_cancels_and_tells_so(disk: LoopDisk, image: Image) -> None:
    async with room(disk, image.file) as here:
        here.repository.open.clear()
        _, answer = await here.deploy()
        await until(partial(wiped, disk))
        here.agent.terminate()
        async with asyncio.timeout(300):
            assert await here.agent.wait() == 0
        report = await here.ogcore.final()
        assert (report["job_id"], report["res"], report["der"]) == (answer["job_id"], "2", "000-Cancelled")
        assert here.ogcore.calls[-1][0].endswith("/stopped")
        with pytest.raises(ProcessLookupError):
            os.kill(here.agent.pid, 0)
        assert wiped(disk)


@needs_root
@needs_tools
def test_a_plan_writes_nothing(disk: LoopDisk, image: Image, tmp_path: Path) -> None:
    (tmp_path / "ogcore.pem").touch()
    before = disk.without_cache()
    url = f"file://{image.file.parent}/{{nci}}.img"
    config = configuration(tmp_path, "127.0.3.2", disk, url, "")
    plan = json.loads(run(sys.executable, "-m", "ogagent", "plan", "--config", config, CALL))
    target = within(2)
    assert (plan["target"]["device"], plan["target"]["start"]) == (disk.partition(2), target.start)
    assert plan["source"] == url.replace("{nci}", "image-test")
    assert (plan["image"]["container"], plan["image"]["device_size"]) == ("zstd", FILESYSTEM_SIZE)
    assert disk.without_cache() == before


def test_a_configuration_error_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "ogagent.toml"
    config.write_text('[server]\nport = "eight thousand"\n')
    command = [sys.executable, "-m", "ogagent", "serve", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert str(config) in line
    assert "server.port" in line
    assert done.stdout == ""
