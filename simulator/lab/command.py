"""``ogsim lab``: a computer room with a console in the browser, until Ctrl-C."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web
from msgspec import Struct
from rich.console import Console

from simulator.errors import LabError
from simulator.lab.control import Control
from simulator.lab.network import Network, on_loopback, on_switch
from simulator.lab.room import Room, open_room, with_logs
from simulator.lab.trouble import Trouble
from simulator.machine.profile import known_profile, read_profile
from simulator.ogcore.console.app import console_app
from simulator.processes import run
from simulator.sample import IMAGE_NAME, make_sample
from simulator.signals import terminated_like_interrupted

# The demonstration's two, then one of each kind that something is to be learnt from, most telling first.
_PROFILES: Final = (
    "classroom", "classroom", "nvme-and-sata", "dual-boot", "msdos", "small-partition",
    "new-pc", "mounted-target", "no-cache", "sectors-4k",
)  # fmt: skip
_CORRUPT: Final = "image-corrupt"
_UNCHECKED: Final = "image-unchecked"
_INDEXED: Final = "image-indexed"
"""What a crowd needs: each region proves itself."""
_GOODBYE_S: Final = 0.5


class LabOptions(Struct, frozen=True, kw_only=True):
    """``profiles`` are files of machines, dealt out in turn; without any, the clients are of all kinds. ``mbit`` is the
    speed of each cable; with ``switch`` the servers have one, too.
    """

    clients: int
    address: str
    port: int
    mbit: int
    switch: bool
    profiles: tuple[Path, ...]
    faults: tuple[str, ...]


def lab(options: LabOptions) -> None:
    """Raises LabError when an address is taken, a profile or a fault cannot be read, or there can be no switch."""
    profiles = [read_profile(path) for path in options.profiles] or [known_profile(name) for name in _PROFILES]
    machines = [profiles[number % len(profiles)] for number in range(options.clients)]
    connected = on_switch if options.switch else on_loopback
    with (
        terminated_like_interrupted(),
        tempfile.TemporaryDirectory(prefix="ogsim-") as scratch,
        connected(Path(scratch), machines, options.mbit) as network,
    ):
        try:
            with open_room(Path(scratch), network.hosts, network.site) as room:
                asyncio.run(_Lab(room, network, options).run())
        except LabError as error:
            raise with_logs(error, Path(scratch)) from None


class _Lab:
    def __init__(self, room: Room, network: Network, options: LabOptions) -> None:
        self._room = room
        self._options = options
        self._relays = network.relays
        self._trouble = Trouble(room, network.cables, options.mbit)
        self._console = Console(highlight=False)

    async def run(self) -> None:
        for fault in self._options.faults:
            self._trouble.check(fault)
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, ending.set)
        control = Control(self._room, self._trouble)
        async with AsyncExitStack() as stack:
            await self._serve(stack, control)
            for relay in self._relays:
                await stack.enter_async_context(relay.laid())
            work = asyncio.create_task(self._open(control))
            end = asyncio.create_task(ending.wait())
            try:
                await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()  # it ends by itself only when it fails
            finally:
                work.cancel()
                await asyncio.wait({work})
                # Whatever a worker thread is still starting is waited for by asyncio.run, and ended by the room.
                await asyncio.to_thread(self._room.close)

    async def _serve(self, stack: AsyncExitStack, control: Control) -> None:
        options = self._options
        tls = self._room.authority.client_context()
        app = console_app(ogcore=self._room.site.ogcore.url, ogcore_tls=tls, hands=control)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, options.address, options.port).start()
        except OSError as error:
            raise LabError(
                f"cannot listen on {options.address} port {options.port}: {error.strerror}",
                hint="choose another place with --address and --port",
            ) from None
        self._console.print(f"The console is at http://{options.address}:{options.port}/", soft_wrap=True)

    async def _open(self, control: Control) -> None:
        room = self._room
        await asyncio.gather(
            asyncio.to_thread(room.start_servers, mbit=0, crowd=True), asyncio.to_thread(_make_images, room.images)
        )
        await asyncio.gather(*(control.switch_on(name) for name in room.hosts))
        for fault in self._options.faults:
            await control.inject(fault)
        site = room.site
        where = f"ogCore {site.ogcore.url}  repository {site.repository.url}  CA {room.authority.certificate}"
        self._console.print(f"{where}\n{len(room.hosts)} clients. The room stays until Ctrl-C.", soft_wrap=True)
        await control.watch()


def _make_images(directory: Path) -> None:
    """The reference image; the same damaged, without its sums, and with an index: what a repository may hold."""
    image = make_sample(directory).image
    for name in (_CORRUPT, _UNCHECKED, _INDEXED):
        other = directory / f"{name}.img"
        shutil.copyfile(image, other)
        shutil.copyfile(directory / f"{IMAGE_NAME}.img.info", directory / f"{name}.img.info")
    shutil.copyfile(directory / f"{IMAGE_NAME}.img.full.sum", directory / f"{_CORRUPT}.img.full.sum")
    run([sys.executable, "-m", "ogagent", "image", "index", directory / f"{_INDEXED}.img"])
    with Path(directory, f"{_CORRUPT}.img").open("r+b") as file:
        middle = image.stat().st_size // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))
