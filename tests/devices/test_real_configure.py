"""Configurar by the agent's own call on a real disk, and an image onto what it has made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ogagent.capture.real import RealModels
from ogagent.disk.cache import MountedCache
from ogagent.disk.real import RealMachine
from ogagent.finish.real import RealFinisher
from ogagent.functions.host import Host
from ogagent.functions.insight import RealInsight
from ogagent.functions.table import Functions
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
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
from simulator.sample import make_sample
from tests.as_restored import AS_RESTORED
from tests.devices.conftest import LoopDisk
from tests.included import first_included
from tests.jobs.two_disks import Recorder, until
from tests.power_twin import StillPower

SECRET = "0123456789abcdef" * 4
MIB = 1 << 20


@pytest.mark.parametrize("table", ["GPT", "MSDOS"])
async def test_an_empty_disk_takes_an_image(
    loop_disk: LoopDisk, tool: Callable[..., str], tmp_path: Path, table: str
) -> None:
    device, images = loop_disk(700 * MIB), tmp_path / "images"
    images.mkdir()
    make_sample(images)
    settings = Settings(
        repository=RepositorySettings(url=f"file://{images}/{{nci}}.img", allow=("127.0.0.0/8",)),
        state=StateSettings(dir=str(tmp_path / "state")),
        finish=AS_RESTORED,
    )
    machine = RealMachine([device], [])
    host = Host(
        machine=machine,
        store=MountedCache(tmp_path / "cache"),
        insight=RealInsight(tmp_path),
        tables=RealTables(),
        models=RealModels(machine),
        finisher=RealFinisher(machine, tmp_path, uefi=False),
        firmware="uefi",
        power=StillPower(),
    )
    functions = Functions(host.equipment(settings, source_policy(settings), Caching(host.store, "evict")))
    journal, told = Journal.in_memory(), Recorder()
    jobs = JobManager(
        disks=MarkedDisks(host.machine, journal), reporter=told, journal=journal, metrics=Metrics(),
        numbers=ToldNumbers(journal),
    )  # fmt: skip
    app = make_app(jobs, functions, SecretAccess(SECRET), Metrics())
    async with TestClient(TestServer(app, host="127.0.0.1"), headers={"Authorization": SECRET}) as client:

        async def ask(function: str, **members: object) -> dict[str, Any]:
            body = {"dsk": first_included(), **members}
            async with client.post(f"/CloningEngine/{function}", json=body) as response:
                job_id = (await response.json())["job_id"]
            await until(lambda: job_id in told.finals)
            (report,) = told.finals[job_id]
            return dict(report)

        rows = [
            {"ttp": table, "che": "1", "tch": "131072"},
            {"par": "1", "cpt": "EFI", "sfi": "FAT32", "tam": "102400", "ope": "1"},
            {"par": "2", "cpt": "LINUX", "sfi": "EXT4", "tam": "0", "ope": "1"},
        ]
        report = await ask("Configurar", cfg=rows)
        assert (report["res"], report["der"]) == ("1", "")
        report = await ask("RestaurarImagen", par=2, idi="1", nci="image-test", ipr="127.0.0.1", cpt="83")
        assert (report["res"], report["der"]) == ("1", "")
        shown = json.loads(await asyncio.to_thread(tool, "sfdisk", "--json", device))["partitiontable"]
        assert (shown["label"], len(shown["partitions"])) == ("gpt" if table == "GPT" else "dos", 3)
        await asyncio.to_thread(tool, "e2fsck", "-fn", f"{device}p2")
        before = await asyncio.to_thread(tool, "dumpe2fs", "-h", f"{device}p4")
        report = await ask("Configurar", cfg=[rows[0], rows[1], {**rows[2], "sfi": "XFS"}])
        assert (report["res"], report["der"]) == ("1", "")
        assert await asyncio.to_thread(tool, "blkid", "-p", "-s", "TYPE", "-o", "value", f"{device}p2") == "xfs\n"
        assert await asyncio.to_thread(tool, "dumpe2fs", "-h", f"{device}p4") == before, "the CACHE stays as it is"
        await jobs.aclose()
    journal.close()
