"""The agent as it is in use: a process of its own, called by curl, on a disk that the kernel takes for one.

Needs root for the loop device, and the programs of _TOOLS.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
import ipaddress
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from tests.included import first_included
from tests.records import without_record

pytestmark = pytest.mark.xdist_group("agent")

_TOOLS: Final = ("losetup", "partx", "sfdisk", "mkfs.ext4", "blkid", "mount", "curl", "zstd")
_PARTCLONE: Final = ("partclone.ext4", "partclone.restore")
_MISSING: Final = [tool for tool in (*_TOOLS, *_PARTCLONE) if shutil.which(tool) is None]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
needs_tools = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")

MIB: Final = 1 << 20
SECTOR: Final = 512
DISK_SIZE: Final = 80 * MIB
FILESYSTEM_SIZE: Final = 32 * MIB
SECRET: Final = "0123456789abcdef" * 4
WEBHOOK: Final = "/opengnsys/rest/clients/status/webhook"

# In sectors: the target of exactly the file system's size, one that is a block smaller, the CACHE.
LAYOUT: Final = {1: (2048, 8192), 2: (10240, 65536), 3: (75776, 65536 - 8), 4: (141312, 16384)}
TYPES: Final = {"gpt": ("uefi", "linux", "linux", "linux"), "dos": ("ef", "83", "83", "83")}

DISK: Final = first_included()
# The documentation's call, to the letter; only host and disk are replaced.
CALL: Final = (
    f'{{"dsk":"{DISK}", '
    '"par":"2", "cpt":"83", "ifs": "1", "idi":"01936caf-facb-72ad-9446-97e7dbf2b96a", '
    '"nci":"image-test", "ipr":"192.168.68.55", "nfn":"RestaurarImagen", "method": "unicast", "ids":"0"}'
)


def run(*command: str | Path, data: bytes | None = None) -> bytes:
    done = subprocess.run([str(each) for each in command], input=data, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout


async def until(condition: Callable[[], bool], wait_s: float = 300) -> None:
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110 - other processes change what is looked at
            await asyncio.sleep(0.02)


# --- the image and the disk ---------------------------------------------------------------------------------------


class Image(Struct, frozen=True):
    """``plain`` is what partclone wrote, not compressed; ``file`` the same as the repository has it."""

    plain: Path
    file: Path


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


def compressed(plain: bytes, file: Path) -> Path:
    file.write_bytes(run("zstd", "-q", "-c", data=plain))
    return file


class LoopDisk(Struct, frozen=True):
    file: Path
    device: str

    def partition(self, number: int) -> str:
        return f"{self.device}p{number}"

    def content(self) -> bytes:
        return self.file.read_bytes()

    def without_cache(self) -> bytes:
        """Which jobs mount, and so write to."""
        content = bytearray(self.content())
        cache = within(4)
        content[cache] = bytes(cache.stop - cache.start)
        return bytes(content)


def within(number: int) -> slice:
    start, size = LAYOUT[number]
    return slice(start * SECTOR, (start + size) * SECTOR)


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
        subprocess.run(["partx", "-d", device], capture_output=True, check=False)
        run("losetup", "-d", device)


def as_partclone_writes(image: Image, before: bytes, folder: Path) -> bytes:
    """What the real program makes of the partition; the agent clears the first MiB too, where nothing belongs."""
    reference = folder / "reference"
    reference.write_bytes(bytes(MIB) + before[MIB:])
    run("partclone.restore", "-L", folder / "log", "-s", image.plain, "-O", reference)
    return reference.read_bytes()


# --- the repository and ogCore ------------------------------------------------------------------------------------


@asynccontextmanager
async def served(app: web.Application, address: str, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, 0, ssl_context=context).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class Repository:
    """Sends half of the file, and the rest when ``open`` is set."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.open = asyncio.Event()
        self.open.set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ogrepository/images/image-test.img", self._send)
        return app

    async def _send(self, request: web.Request) -> web.StreamResponse:
        data = self.file.read_bytes()
        response = web.StreamResponse(headers={"Content-Length": str(len(data)), "ETag": '"1"'})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await self.open.wait()
        await response.write(data[len(data) // 2 :])
        return response


class OgCore:
    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.unsigned: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        if request.headers.get("X-OgAgent-Signature") != f"sha256={signature}":
            self.unsigned.append(request.path)
        self.calls.append((request.path, json.loads(body)))
        return web.json_response({})

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [body for path, body in self.calls if path == WEBHOOK and "res" in body]

    async def final(self) -> dict[str, Any]:
        """The one final report. Its ``cfg`` is for the caller to look at."""
        await until(lambda: bool(self.finals))
        (report,) = self.finals
        assert not self.unsigned
        return report


def own_certificate(folder: Path, address: str) -> ssl.SSLContext:
    """Self-signed, in ``ogcore.pem``, for the agent to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ogCore of the test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ogcore.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ogcore.key").write_bytes(private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "ogcore.pem", folder / "ogcore.key")
    return context


# --- the room: all of them together -------------------------------------------------------------------------------


class Room(Struct, frozen=True):
    folder: Path
    disk: LoopDisk
    repository: Repository
    ogcore: OgCore
    agent: asyncio.subprocess.Process
    address: str

    async def curl(self, path: str, *arguments: str) -> tuple[int, Any]:
        """Status and answer. The secret comes from a file, so that it is in no process list."""
        secret = f"@{self.folder / 'authorization'}"
        command = ["curl", "-k", "-s", "-w", "\n%{http_code}", "-H", secret, *arguments]
        process = await asyncio.create_subprocess_exec(
            *command, f"https://{self.address}:8000{path}", stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(300):
            answer, _ = await process.communicate()
        body, _, status = answer.decode().rpartition("\n")
        return int(status), json.loads(body or "null")

    async def deploy(self, call: str = CALL) -> tuple[int, Any]:
        return await self.curl("/CloningEngine/RestaurarImagen", "-X", "POST", "--data", call)

    async def partition(self, number: int) -> dict[str, Any]:
        _, found = await self.curl("/disks")
        (disk,) = found["disks"]
        (part,) = [each for each in disk["partitions"] if each["partition"] == number]
        return dict(part)


def free_address() -> str:
    """One of 127.0.3.0/24 whose port 8000, that of the documentation, nobody has."""
    for last in range(2, 255):
        with suppress(OSError), socket.socket() as probe:
            probe.bind((address := f"127.0.3.{last}", 8000))
            return address
    raise AssertionError("no address is free")


def configuration(folder: Path, address: str, disk: LoopDisk, repository_url: str, ogcore_url: str) -> Path:
    """No disk of this machine is among those that the agent may touch."""
    names = (entry.name.replace("!", "/") for entry in Path("/sys/block").iterdir())
    real = [f"/dev/{name}" for name in names if f"/dev/{name}" != disk.device]
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    (folder / "authorization").write_text(f"Authorization: {SECRET}\n")
    file = folder / "ogagent.toml"
    file.write_text(
        f'[server]\naddress = "{address}"\n'
        f'[access]\nsecret_file = "{secret}"\n'
        f'[ogcore]\nurl = "{ogcore_url}"\nca = "{folder / "ogcore.pem"}"\n'
        f'[repository]\nurl = "{repository_url}"\n'
        f"[disks]\ninclude = {json.dumps([disk.device])}\nexclude = {json.dumps(real)}\n"
        f'[cache]\nmount_point = "{folder / "cache"}"\n'
        f'[state]\ndir = "{folder / "state"}"\n'
    )
    return file


@asynccontextmanager
async def room(disk: LoopDisk, image: Path, *, repository_url: str = "") -> AsyncIterator[Room]:
    folder = disk.file.parent
    repository, ogcore, address = Repository(image), OgCore(), free_address()
    async with (
        served(repository.app(), "127.0.3.55") as repository_port,
        served(ogcore.app(), "127.0.3.1", own_certificate(folder, "127.0.3.1")) as ogcore_port,
    ):
        url = repository_url or f"http://127.0.3.55:{repository_port}/ogrepository/images/{{nci}}.img"
        config = configuration(folder, address, disk, url, f"https://127.0.3.1:{ogcore_port}")
        with (folder / "agent.log").open("wb") as log:
            agent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ogagent", "serve", "--config", str(config)), stdout=log, stderr=log
            )
        try:
            await until(lambda: any(path.endswith("/started") for path, _ in ogcore.calls))
            yield Room(folder, disk, repository, ogcore, agent, address)
            if agent.returncode is None:
                agent.terminate()
            async with asyncio.timeout(300):
                assert await agent.wait() == 0
            assert "Traceback" not in (folder / "agent.log").read_text()
        finally:
            repository.open.set()
            if agent.returncode is None:
                agent.kill()
                await agent.wait()


# --- what must be true --------------------------------------------------------------------------------------------


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
    before = disk.content()
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
    before = disk.content()
    size = LAYOUT[3][1] * SECTOR
    async with room(disk, image.file) as here:
        assert (await here.deploy(CALL.replace('"par":"2"', '"par":"3"')))[0] == 200
        report = await here.ogcore.final()
        assert report["res"] == "2"
        assert report["der"] == f"030-The image needs {FILESYSTEM_SIZE} bytes, partition 3 of disk {DISK} has {size}"
        assert (await here.partition(3))["incomplete"] is False
    assert disk.content() == before


@needs_root
@needs_tools
async def test_what_is_never_a_target(disk: LoopDisk, image: Image, tmp_path: Path) -> None:
    mount_point = tmp_path / "mounted"
    mount_point.mkdir()
    run("mount", "-o", "ro", disk.partition(2), mount_point)
    try:
        before = disk.content()
        async with room(disk, image.file) as here:
            for par, code in (("4", "target-is-cache"), ("2", "partition-in-use"), ("1", "target-is-system")):
                status, problem = await here.deploy(CALL.replace('"par":"2"', f'"par":"{par}"'))
                assert (status, problem["code"]) == (409, code)
                assert problem["error"]
            assert (await here.partition(2))["mounted"] == str(mount_point)
            assert (await here.curl("/jobs"))[1] == {"jobs": []}
            assert not here.ogcore.finals
        assert disk.content() == before
    finally:
        run("umount", mount_point)


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
    before = disk.content()
    url = f"file://{image.file.parent}/{{nci}}.img"
    config = configuration(tmp_path, "127.0.3.2", disk, url, "")
    plan = json.loads(run(sys.executable, "-m", "ogagent", "plan", "--config", config, CALL))
    target = within(2)
    assert (plan["target"]["device"], plan["target"]["start"]) == (disk.partition(2), target.start)
    assert plan["source"] == url.replace("{nci}", "image-test")
    assert (plan["image"]["container"], plan["image"]["device_size"]) == ("zstd", FILESYSTEM_SIZE)
    assert disk.content() == before


def wiped(disk: LoopDisk) -> bool:
    start = within(2).start
    return without_record(disk.content()[start : start + MIB]) == bytes(MIB)


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
