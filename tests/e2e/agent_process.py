"""An agent as a process of its own, between a repository and an ogCore that hold what a test asks of them."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from tests.as_restored import AS_RESTORED_TOML
from tests.block_devices import block_devices
from tests.e2e.image_and_disk import LoopDisk
from tests.included import first_included

SECRET: Final = "0123456789abcdef" * 4
WEBHOOK: Final = "/opengnsys/rest/clients/status/webhook"

DISK: Final = first_included()
# The documentation's call, to the letter; only host and disk are replaced.
CALL: Final = (
    f'{{"dsk":"{DISK}", '
    '"par":"2", "cpt":"83", "ifs": "1", "idi":"01936caf-facb-72ad-9446-97e7dbf2b96a", '
    '"nci":"image-test", "ipr":"192.168.68.55", "nfn":"RestaurarImagen", "method": "unicast", "ids":"0"}'
)


async def until(condition: Callable[[], bool], wait_s: float = 300) -> None:
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110 - other processes change what is looked at
            await asyncio.sleep(0.02)


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
    real = block_devices(disk.device)
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
        f'[machine]\nkind = "oglive"\n[state]\ndir = "{folder / "state"}"\n{AS_RESTORED_TOML}'
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
