"""A CACHE of which others can have an image is no reason to refuse a job: it is free before anything is looked at."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ogagent.capture.real import RealModels
from ogagent.crowd.seeding import Seeding
from ogagent.crowd.station import Station
from ogagent.disk.cache import MountedCache
from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.disk.real import RealMachine
from ogagent.finish.real import RealFinisher
from ogagent.functions.host import Host
from ogagent.functions.insight import RealInsight
from ogagent.functions.table import Functions
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.jobs.cache_shelf import CacheShelf
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.partition.real import RealTables
from ogagent.restore.caching import Caching
from ogagent.service import source_policy
from ogagent.settings import RepositorySettings, Settings
from ogagent.settings_state import StateSettings
from ogagent.system.metrics import Metrics
from simulator.repository.crowd.torrents import make_torrent
from tests.as_restored import AS_RESTORED
from tests.devices.conftest import LoopDisk
from tests.included import first_included
from tests.jobs.two_disks import Recorder, until
from tests.power_twin import StillPower

SECRET: Final = "0123456789abcdef" * 4
MIB: Final = 1 << 20
TABLE: Final = "label: gpt\nstart=1MiB, size=24MiB, type=linux\nstart=25MiB, size=70MiB, type=linux, name=CACHE\n"
SUPERBLOCK: Final = b"XFSB" + (4096).to_bytes(4, "big") + (3 * 256).to_bytes(8, "big")
IMAGE: Final = SUPERBLOCK + os.urandom(3 * MIB - len(SUPERBLOCK))
WITHOUT_A_CACHE: Final = [
    {"ttp": "GPT", "che": "0", "tch": "0"},
    {"par": "1", "cpt": "LINUX", "sfi": "EXT4", "tam": "0", "ope": "1"},
]
RESTORE: Final = {"par": 1, "idi": "1", "nci": "new", "ipr": "127.0.0.1", "cpt": "83"}


def occupant(device: str) -> str | None:
    return read_occupants().get(block_device_number(device) or -1)


def is_read_only(mount_point: Path) -> bool:
    return bool(os.statvfs(mount_point).f_flag & os.ST_RDONLY)


class Witness(Recorder):
    """Also of what others could have when the final report came."""

    def __init__(self) -> None:
        super().__init__()
        self.look: Callable[[], object] = lambda: None
        self.seen: list[object] = []

    def final(self, job_id: str, report: Mapping[str, Any]) -> None:
        self.seen.append(self.look())
        super().final(job_id, report)


class Pc:
    def __init__(self, folder: Path, device: str, *, idle: bool = True) -> None:
        self.folder, self.cache, self.told = folder, f"{device}p2", Witness()
        self.mount_point, self.power = folder / "cache", StillPower()
        self.machine, self.store = RealMachine([device], []), MountedCache(self.mount_point)
        station = Station(interface="lo", join_timeout_s=60, stall_s=60, address="127.0.2.9")
        self.seeding = Seeding(self.machine, self.store, station, idle=idle, quiet_s=0)
        self.told.look = lambda: self.seeding.images
        self.client: TestClient[Any, Any]

    @property
    def host(self) -> Host:
        return Host(
            machine=self.machine,
            store=self.store,
            insight=RealInsight(self.folder),
            tables=RealTables(),
            models=RealModels(self.machine),
            finisher=RealFinisher(self.machine, self.folder, uefi=False),
            firmware="uefi",
            power=self.power,
        )

    @asynccontextmanager
    async def idling(self) -> AsyncIterator[None]:
        settings = Settings(
            repository=RepositorySettings(url=f"file://{self.folder}/{{nci}}.img", allow=("127.0.0.0/8",)),
            state=StateSettings(dir=f"{self.folder / 'state'}"),
            finish=AS_RESTORED,
        )
        host, journal = self.host, Journal.in_memory()
        equipment = host.equipment(settings, source_policy(settings), Caching(self.store, "evict"), self.seeding)
        jobs = JobManager(
            disks=MarkedDisks(self.machine, journal), reporter=self.told, journal=journal, metrics=Metrics(),
            numbers=ToldNumbers(journal), idling=self.seeding, going_s=0,
        )  # fmt: skip
        app = make_app(jobs, Functions(equipment), SecretAccess(SECRET), Metrics())
        keeping = asyncio.create_task(self.seeding.run())
        headers = {"Authorization": SECRET}
        try:
            async with TestClient(TestServer(app, host="127.0.0.1"), headers=headers) as self.client:
                yield
                await jobs.aclose()
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            journal.close()
        assert occupant(self.cache) is None

    async def giving(self) -> None:
        await until(lambda: bool(self.seeding.images))
        assert occupant(self.cache) == f"{self.mount_point}"
        assert is_read_only(self.mount_point)

    async def post(self, path: str, **members: object) -> tuple[int, dict[str, Any]]:
        async with self.client.post(path, json={"dsk": first_included(), **members}) as response:
            return response.status, await response.json()

    async def run(self, function: str, **members: object) -> dict[str, Any]:
        status, answer = await self.post(f"/CloningEngine/{function}", **members)
        assert status == 200, answer
        await until(lambda: answer["job_id"] in self.told.finals)
        (report,) = self.told.finals[answer["job_id"]]
        return dict(report)


@pytest.fixture
def pc(loop_disk: LoopDisk, tool: Callable[..., str], tmp_path: Path) -> Pc:
    device = loop_disk(98 * MIB, TABLE)
    for number, label in ((1, "system"), (2, "CACHE")):
        tool("mkfs.ext4", "-q", "-F", "-L", label, f"{device}p{number}")
    root = tmp_path / "cache"
    root.mkdir()
    tool("mount", f"{device}p2", root)
    images = root / "opt/opengnsys/images"
    images.mkdir(parents=True)
    (images / "old.img").write_bytes(IMAGE)
    (images / "old.img.torrent").write_bytes(make_torrent(images / "old.img", "http://127.0.0.1:6969/announce"))
    tool("umount", root)
    (tmp_path / "new.img").write_bytes(IMAGE)
    (tmp_path / "new.img.full.sum").write_text(hashlib.md5(IMAGE, usedforsecurity=False).hexdigest())
    return Pc(tmp_path, device)


async def test_plans(pc: Pc) -> None:
    async with pc.idling():
        for _ in range(3):
            await pc.giving()
            assert (await pc.post("/plan", nfn="Configurar", cfg=WITHOUT_A_CACHE))[0] == 200
            await pc.giving()
            assert (await pc.post("/plan", nfn="RestaurarImagen", **RESTORE))[0] == 200


async def test_an_image_through_the_cache(pc: Pc) -> None:
    """Others can have the image that was there before, and will have the new one when it has a .torrent."""
    async with pc.idling():
        await pc.giving()
        report = await pc.run("RestaurarImagen", **RESTORE)
        assert (report["res"], report["der"]) == ("1", "")
        await pc.giving()
        assert pc.seeding.images == ("old",)


async def test_for_the_seconds_of_its_session(pc: Pc) -> None:
    """After the final report: the image that it was, when it has succeeded, and no other."""
    pc = Pc(pc.folder, pc.cache.removesuffix("p2"), idle=False)
    image = pc.folder / "new.img"
    image.with_name("new.img.torrent").write_bytes(make_torrent(image, "http://127.0.0.1:6969/announce"))
    async with pc.idling():
        report = await pc.run("RestaurarImagen", **RESTORE | {"nci": "absent", "method": "p2p peer:3600"})
        assert report["res"] == "2"
        report = await pc.run("RestaurarImagen", **RESTORE | {"method": "p2p peer:3600"})
        assert report["res"] == "1"
        await pc.giving()
        assert pc.seeding.images == ("new",)
        assert pc.told.seen == [(), ()]
        await pc.run("RestaurarImagen", **RESTORE)
        await pc.giving()


async def test_the_disk_of_the_cache_is_configured(pc: Pc) -> None:
    async with pc.idling():
        await pc.giving()
        report = await pc.run("Configurar", cfg=WITHOUT_A_CACHE)
        assert (report["res"], report["der"]) == ("1", "")
    assert pc.seeding.images == ()


async def test_the_machine_goes_down(pc: Pc) -> None:
    mounted: list[str | None] = []
    pc.power.watch = lambda: mounted.append(occupant(pc.cache))
    async with pc.idling():
        await pc.giving()
        report = await pc.run("Reiniciar")
        assert report["res"] == "1"
        await until(lambda: pc.power.done == ["restart"])
    assert mounted == [None]


async def test_reports_are_kept_meanwhile(pc: Pc) -> None:
    """That is written; afterwards the CACHE can only be read again."""
    async with pc.idling():
        await pc.giving()
        shelf = CacheShelf(pc.machine, pc.store)
        await shelf.put("report.json", b"{}")
        await pc.giving()
        assert await shelf.list(9, 99) == {"report.json": b"{}"}
        await pc.giving()
