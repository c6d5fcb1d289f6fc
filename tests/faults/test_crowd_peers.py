"""Two PCs of a room whose seed dies: what the repository then gives to one, the other need not ask it for."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ogagent.crowd.arrivals import Arrivals, Need
from ogagent.crowd.real import RealCrowding
from ogagent.errors import CrowdError
from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import encode
from ogagent.image.pack import Packing, pack
from ogagent.model.method import Session
from ogagent.model.plan import Target
from ogagent.restore.caching import Caching
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, restore_request
from ogagent.settings import CrowdSettings, RepositorySettings
from simulator.faults import parse_fault
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.repository.app import PREFIX, repository_app
from simulator.repository.crowd.offer import Crowd
from tests.faults.bench import CACHE
from tests.faults.bench import LOOPBACK as POLICY
from tests.faults.classroom import Directory
from tests.faults.images import CONTENT, MIB
from tests.simulator.crowd.room import LOOPBACK, Repository

SIZE: Final = 48 * MIB
PLACE: Final = Entry(number=2, start=MIB, size=SIZE, type=LINUX_FILESYSTEM)
DISK_SIZE: Final = PLACE.start + SIZE + MIB
NOISE: Final = random.Random(12).randbytes(SIZE - len(CONTENT))
IMAGE: Final = CONTENT + NOISE
PACE: Final = parse_fault("repository:slow=1MiB")
"""Of each connection: peers are faster."""


class Pc:
    """Implements ``ogagent.restore.crowd.Crowding``: as the agent does, and notes what is missing when its peers have
    no more to give.
    """

    fallback: Final = True
    spread_s: Final = 0.0

    def __init__(self, folder: Path, number: int) -> None:
        folder.mkdir()
        self.disk, self.progress = folder / "disk", Progress(read_back_wanted=False)
        self.cache = Directory(folder / "cache")
        self.cache.path.mkdir()
        networks = RepositorySettings().networks
        self._crowding = RealCrowding(CrowdSettings(stall_s=2), networks, f"127.0.2.{number}", spread_s=0)
        self.rest = 0
        with self.disk.open("wb") as file:
            file.truncate(DISK_SIZE)
            write_table(file, DISK_SIZE, (PLACE,))

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:
        def dried_up(why: CrowdError) -> None:
            assert need.storage is not None
            self.rest = need.size - need.storage.there.total
            need.dried_up(why)

        return await self._crowding.join(session, repository, image, need._replace(dried_up=dried_up))

    async def deploy(self, url: str) -> None:
        target = Target(
            disk=1, partition=2, device=f"{self.disk}#2", disk_device=f"{self.disk}", start=PLACE.start, size=SIZE,
            identity=f"file:{self.disk.resolve()};size:{DISK_SIZE}", sector_size=512,
        )  # fmt: skip
        request = restore_request({"dsk": "1", "par": "2", "idi": "1", "nci": "x", "ipr": LOOPBACK, "cpt": "83"})
        plan = RestorePlan(request=request, target=target, source=url, cache=CACHE, session=Session(engine="p2p"))
        await restore(plan, FileMachine([self.disk]), POLICY, self.progress, Caching(self.cache, "evict"), self)

    @property
    def content(self) -> bytes:
        return self.disk.read_bytes()[PLACE.start : PLACE.start + SIZE]


def image_in(folder: Path) -> Path:
    folder.mkdir()
    with (folder / "x.img").open("wb") as file:
        packed = pack("x.img", iter([IMAGE]), file.write, Packing(256 << 10, 1, 2, MAX_WINDOW))
    (folder / "x.img.index").write_bytes(encode(packed.index))
    return folder


async def test_the_rest_is_fetched_once_and_not_by_each(tmp_path: Path) -> None:
    sent = 0

    async def count(request: web.Request, response: web.StreamResponse) -> None:
        nonlocal sent
        if request.path.endswith("/x.img"):
            sent += response.content_length or 0

    app = repository_app(image_in(tmp_path / "images"), faults=lambda: (PACE,), crowd=Crowd(address=LOOPBACK))
    app.on_response_prepare.append(count)
    async with TestClient(TestServer(app, host=LOOPBACK)) as client:
        repository = Repository(client, tmp_path / "images")
        status, session = await repository.call("POST", "/p2p", {"image": "x", "speed": "40M"})
        assert status == 201
        pcs = [Pc(tmp_path / f"pc{number}", number) for number in (2, 3)]
        url = str(client.make_url(f"{PREFIX}/x.img"))
        jobs = [asyncio.create_task(pc.deploy(url)) for pc in pcs]
        length = (tmp_path / "images/x.img").stat().st_size
        async with asyncio.timeout(600):
            while min(pc.progress.from_crowd["peers"] for pc in pcs) < length // 3:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)
            await repository.cancel(session)
            await asyncio.gather(*jobs)
    assert all(pc.content == IMAGE for pc in pcs)
    rest = max(pc.rest for pc in pcs)
    assert rest > MIB
    assert sent < 2 * rest
