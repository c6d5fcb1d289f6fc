"""Two PCs of a room whose seed dies: what the repository then gives to one, the other need not ask it for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
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
from ogagent.source.ranges import Ranges
from simulator.faults import parse_fault
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.repository.app import PREFIX, repository_app
from simulator.repository.crowd.offer import Crowd
from tests.crowd.kept import Kept
from tests.crowd.test_swarm import station, swarm
from tests.faults.bench import CACHE
from tests.faults.bench import LOOPBACK as POLICY
from tests.faults.classroom import Directory
from tests.faults.images import CONTENT, MIB
from tests.simulator.crowd.room import LOOPBACK, Repository

SIZE: Final = 64 * MIB
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
        self._crowding = RealCrowding(CrowdSettings(stall_s=3), networks, f"127.0.2.{number}", spread_s=0)
        self.rest = 0
        self.need: asyncio.Future[Need] = asyncio.get_running_loop().create_future()
        with self.disk.open("wb") as file:
            file.truncate(DISK_SIZE)
            write_table(file, DISK_SIZE, (PLACE,))

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:
        def dried_up(why: CrowdError) -> None:
            assert need.storage is not None
            self.rest = need.size - need.storage.there.total
            need.dried_up(why)

        self.need.set_result(need)
        return await self._crowding.join(session, repository, image, need._replace(dried_up=dried_up))

    async def has(self, count: int) -> None:
        """So many bytes from its peers, unless these were too slow."""
        storage = (await self.need).storage
        assert storage is not None
        while storage.there.total < count and not self.rest:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)

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
        status, session = await repository.call("POST", "/p2p", {"image": "x"})
        assert status == 201
        await repository.cancel(session)
        pcs = [Pc(tmp_path / f"pc{number}", number) for number in (2, 3)]
        url, image = str(client.make_url(f"{PREFIX}/x.img")), tmp_path / "images/x.img"
        async with asyncio.timeout(600), aclosing(seed_of_half(tmp_path / "seed", image)) as seed:
            seeding = asyncio.create_task(anext(seed))
            jobs = [asyncio.create_task(pc.deploy(url)) for pc in pcs]
            await asyncio.gather(*(pc.has(image.stat().st_size // MIB // 2 * MIB) for pc in pcs))
            seeding.cancel()
            await asyncio.wait([seeding])
            await asyncio.gather(*jobs)
    assert all(pc.content == IMAGE for pc in pcs)
    rest = max(pc.rest for pc in pcs)
    assert rest > SIZE // 4
    assert sent < 2 * rest


def seed_of_half(folder: Path, image: Path) -> AsyncGenerator[tuple[int, int], None]:
    """Gives the first half of the pieces, as long as it is asked for more, which it does not take."""
    data = image.read_bytes()
    kept = Kept(folder, data)
    kept.put(0, len(data) // MIB // 2 * MIB)
    return swarm(station(9), image.with_name("x.img.torrent").read_bytes(), kept, Ranges(), len(data)).stretches()
