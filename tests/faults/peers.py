"""PCs that restore an image as the agent does, with its own engine for peers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

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
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.faults.bench import CACHE
from tests.faults.bench import LOOPBACK as POLICY
from tests.faults.classroom import Directory
from tests.faults.images import CONTENT, MIB
from tests.simulator.crowd.room import LOOPBACK

SIZE: Final = 64 * MIB
PLACE: Final = Entry(number=2, start=MIB, size=SIZE, type=LINUX_FILESYSTEM)
DISK_SIZE: Final = PLACE.start + SIZE + MIB
NOISE: Final = random.Random(12).randbytes(SIZE - len(CONTENT))
IMAGE: Final = CONTENT + NOISE
PATIENT: Final = CrowdSettings(stall_s=3)


class Pc:
    """Implements ``ogagent.restore.crowd.Crowding``: as the agent does, and notes what is missing when its peers have
    no more to give.
    """

    fallback: Final = True
    spread_s: Final = 0.0

    def __init__(self, folder: Path, number: int, settings: CrowdSettings = PATIENT, cache: Path | None = None) -> None:
        """``cache``: a directory that is there; a new one in ``folder`` otherwise."""
        folder.mkdir()
        self.disk, self.progress = folder / "disk", Progress(read_back_wanted=False)
        self.cache = Directory(cache or folder / "cache")
        self.cache.path.mkdir(exist_ok=True)
        networks = RepositorySettings().networks
        self._crowding = RealCrowding(settings, networks, f"127.0.2.{number}", spread_s=0)
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
