"""A restore with what the systemd unit leaves to the agent: two capabilities, and a read-only view of the machine.

The unit itself is systemd's to apply, and no systemd runs here; ``unshare`` and ``setpriv`` take away the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import pytest

from tests.as_restored import AS_RESTORED_TOML
from tests.block_devices import block_devices
from tests.included import first_included

_TOOLS: Final = ("unshare", "setpriv", "losetup", "partx", "sfdisk", "mkfs.ext4", "e2fsck", "debugfs", "partclone.ext4")
_MISSING: Final = [tool for tool in _TOOLS if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

MIB: Final = 1 << 20
CAP_SYS_ADMIN: Final = 21  # linux/capability.h
CAP_CHOWN: Final = 0
SECRET: Final = "0123456789abcdef" * 4
TABLE: Final = "label: gpt\nstart=1MiB, size=24MiB, type=linux\nstart=25MiB, size=70MiB, type=linux\n"
PAYLOAD: Final = random.Random(4).randbytes(3 * MIB)
# The state directory stays writable, as StateDirectory= has it; mounts of the machine still come in.
SANDBOX: Final = """
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift
exec setpriv --bounding-set=-all,+sys_admin,+chown --inh-caps=-all --no-new-privs "$@"
"""


class LoopDisk(Protocol):
    def __call__(self, size: int, table_script: str = "", sector_size: int = 512) -> str: ...


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, device: str, port: int) -> Path:
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    (folder / "state").mkdir()
    (folder / "cache").mkdir()
    file = folder / "ogagent.toml"
    file.write_text(
        f'[server]\naddress = "127.0.0.1"\nport = {port}\n[access]\nsecret_file = "{secret}"\n'
        f'[cache]\nmount_point = "{folder / "cache"}"\n'
        f'[repository]\nurl = "file://{folder}/{{nci}}.img"\n[state]\ndir = "{folder / "state"}"\n{AS_RESTORED_TOML}'
        '[machine]\nkind = "oglive"\n'
        f"[disks]\ninclude = {json.dumps([device])}\n"
        f"exclude = {json.dumps([each for each in block_devices() if each != device])}\n"
    )
    return file


class Agent:
    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self._port = process, port

    async def call(self, method: str, path: str, **options: Any) -> Any:
        async with aiohttp.ClientSession(headers={"Authorization": SECRET}) as session:
            url = f"https://127.0.0.1:{self._port}{path}"
            async with session.request(method, url, ssl=False, **options) as response:
                return await response.json(content_type=None)

    async def until(self, path: str, done: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(300):
            while True:
                try:
                    if done(answer := await self.call("GET", path)):
                        return answer
                except aiohttp.ClientConnectionError:
                    assert self.process.returncode is None
                await asyncio.sleep(0.05)

    def proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


@asynccontextmanager
async def confined(folder: Path, device: str) -> AsyncIterator[Agent]:
    port = free_port()
    config = configuration(folder, device, port)
    serve = [sys.executable, "-B", "-m", "ogagent", "serve", "--config", str(config)]
    sandbox = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", SANDBOX, "sh", str(folder / "state")]
    agent = Agent(await asyncio.create_subprocess_exec(*sandbox, *serve), port)
    try:
        await agent.until("/healthz", lambda answer: bool(answer["ok"]))
        yield agent
        agent.process.terminate()
        assert await asyncio.wait_for(agent.process.wait(), 300) == 0
    finally:
        if agent.process.returncode is None:
            agent.process.kill()
            await agent.process.wait()


@pytest.fixture
def device(loop_disk: LoopDisk, tool: Callable[..., str], tmp_path: Path) -> str:
    """Its first partition is the target; the second the CACHE. Beside it, the image."""
    device = loop_disk(98 * MIB, TABLE)
    tool("mkfs.ext4", "-q", "-F", "-L", "CACHE", f"{device}p2")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/payload").write_bytes(PAYLOAD)
    tool("mkfs.ext4", "-q", "-b", "4096", "-d", tmp_path / "tree", tmp_path / "filesystem", "24M")
    image = tmp_path / "image-test.img"
    tool("partclone.ext4", "-c", "-F", "-L", tmp_path / "log", "-s", tmp_path / "filesystem", "-o", image)
    summed = hashlib.md5(image.read_bytes(), usedforsecurity=False).hexdigest()
    (tmp_path / "image-test.img.full.sum").write_text(summed, encoding="utf-8")
    return device


CALL: Final = {"dsk": first_included(), "par": 1, "idi": "1", "nci": "image-test", "ipr": "127.0.0.1", "cpt": "83"}


async def test_a_restore_through_the_cache_needs_two_capabilities_and_writes_nowhere_else(
    device: str, tool: Callable[..., str], tmp_path: Path
) -> None:
    async with confined(tmp_path, device) as agent:
        for line in agent.proc("status").splitlines():
            if line.startswith("Cap"):
                assert int(line.split()[1], 16) & ~(1 << CAP_SYS_ADMIN | 1 << CAP_CHOWN) == 0
        root = next(line for line in agent.proc("mountinfo").splitlines() if line.split()[4] == "/")
        assert "ro" in root.split()[5].split(",")
        started = await agent.call("POST", "/CloningEngine/RestaurarImagen", json=CALL)
        job = await agent.until(f"/jobs/{started['job_id']}", lambda job: job["state"] != "running")
        assert (job["state"], job["error"], job["warnings"]) == ("succeeded", None, [])
        assert f" {tmp_path}/cache " not in agent.proc("mountinfo")
        assert job["bytes"]["read_back"] == job["bytes"]["total"]
    tool("e2fsck", "-f", "-n", f"{device}p1")
    tool("debugfs", "-R", f'dump /payload "{tmp_path / "restored"}"', f"{device}p1")
    assert (tmp_path / "restored").read_bytes() == PAYLOAD
    tool("e2fsck", "-f", "-n", f"{device}p2")
    assert "image-test.img" in tool("debugfs", "-R", "ls -l /opt/opengnsys/images", f"{device}p2")


@pytest.fixture
def shared(tool: Callable[..., str], tmp_path: Path) -> Iterator[Path]:
    """A place whose mounts others see, as everything is where systemd has booted."""
    folder = tmp_path / "machine"
    (folder / "later").mkdir(parents=True)
    tool("mount", "--bind", folder, folder)
    tool("mount", "--make-shared", folder)
    yield folder / "later"
    tool("umount", "--recursive", folder)


async def test_what_the_machine_mounts_later_is_seen(
    device: str, shared: Path, tool: Callable[..., str], tmp_path: Path
) -> None:
    tool("mkfs.ext4", "-q", "-F", f"{device}p1")
    async with confined(tmp_path, device) as agent:
        assert (await agent.call("POST", "/plan", json=CALL))["target"]["device"] == f"{device}p1"
        await asyncio.to_thread(tool, "mount", f"{device}p1", shared)
        assert (await agent.call("POST", "/plan", json=CALL))["code"] == "partition-in-use"
        await asyncio.to_thread(tool, "umount", shared)
        assert (await agent.call("POST", "/plan", json=CALL))["target"]["device"] == f"{device}p1"
