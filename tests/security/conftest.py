"""An agent's face on a real TLS port, the jobs behind it a value; and certificates of every kind."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ogagent.errors import DiskBusy, DiskNotFound, JobFinished, JobNotFound
from ogagent.http.access import Access
from ogagent.http.app import make_app
from ogagent.http.listener import Acceptor, Limits, listening
from ogagent.http.telling import Heard
from ogagent.jobs.work import Order, Work
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.job import ByteCounts, Job, JobError, JobTarget, State
from ogagent.model.plan import ImageHeader, Preview, Target
from ogagent.restore.request import RestoreRequest
from ogagent.system.metrics import Metrics
from ogagent.system.tls import own_identity, server_context
from tests.http.asked import AskedFunctions, planned, request_of

SECRET = "0123456789abcdef" * 4


DISK = Disk(
    disk=1, device="/dev/sda", identity="wwn-1", model="M", size=1 << 31, sector_size=512, table="gpt",
    partitions=(Partition(partition=2, device="/dev/sda2", start=1 << 20, size=1 << 30, code="8300"),),
)  # fmt: skip
TARGET = Target(
    disk=1, partition=2, device="/dev/sda2", disk_device="/dev/sda", identity="wwn-1", start=1 << 20, size=1 << 30,
    sector_size=512,
)  # fmt: skip
IMAGE = ImageHeader(
    container="zstd", format="partclone 0002", filesystem="EXTFS", block_size=4096, device_size=1, used_bytes=1
)
JOB = Job(
    job_id="RestaurarImagen-dfa42888", function="RestaurarImagen", state=State.FAILED, phase=None, progress=41,
    bytes=ByteCounts(image=10), rate=0, eta_s=None, retries=1, request={"dsk": "1"},
    target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity="wwn-1"), created="2026-11-24T10:00:00.000Z",
    finished="2026-11-24T10:00:01.000Z", error=JobError(number=33, code="image-corrupt", message="bad"),
)  # fmt: skip


class SomeJobs:
    """One disk, one job that has ended. Nothing starts; what is asked for is written down."""

    busy = False

    def __init__(self) -> None:
        self.asked: list[RestoreRequest] = []

    async def plan(self, order: Order) -> Work:
        request = request_of(order)
        self.asked.append(request)
        if request.dsk != 1:
            raise DiskNotFound(f"there is no disk {request.dsk}", field="dsk")

        async def preview() -> Preview:
            return Preview(target=TARGET, source="file:///image", image=IMAGE)

        return planned(preview)

    async def start(self, order: Order) -> Job:
        await self.plan(order)
        raise DiskBusy("disk 1 is taken", job_id=JOB.job_id)

    def jobs(self) -> list[Job]:
        return [JOB]

    def job(self, job_id: str) -> Job:
        if job_id != JOB.job_id:
            raise JobNotFound(f"there is no job {job_id}", job_id=job_id)
        return JOB

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        assert seen is None, "the job has ended"
        return self.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        raise JobFinished(f"job {self.job(job_id).job_id} has ended", job_id=job_id)

    def holding(self, order: Order) -> AbstractAsyncContextManager[Work]:
        raise NotImplementedError(order)

    async def inventory(self) -> Inventory:
        return Inventory(disks=(DISK,))

    async def telling(self, _: Inventory) -> Heard:
        return partial(asyncio.sleep, 0)


class Face:
    """What a test needs of a listening agent."""

    def __init__(self, acceptor: Acceptor, address: str, port: int, jobs: SomeJobs, folder: Path) -> None:
        self.acceptor, self.address, self.port, self.jobs, self.folder = acceptor, address, port, jobs, folder

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.address, self.port, ssl=tls or unverified())

    async def tell(self, sent: bytes, tls: ssl.SSLContext | None = None, *, to_the_end: bool = True) -> bytes:
        """All that is answered; the caller closes its side when it has said everything, or only when it is answered."""
        reader, writer = await self.connect(tls)
        try:
            writer.write(sent)
            async with asyncio.timeout(300):
                return await (reader.read() if to_the_end else reader.readuntil(b"\r\n\r\n"))
        except (ConnectionError, asyncio.IncompleteReadError):
            return b""
        finally:
            writer.transport.abort()

    async def get(self, path: str, tls: ssl.SSLContext | None = None, *headers: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: agent", "Connection: close", *headers]
        return await self.tell("\r\n".join([*lines, "", ""]).encode(), tls)


OpenFace = Callable[..., AbstractAsyncContextManager[Face]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def open_face(tmp_path: Path) -> OpenFace:
    @asynccontextmanager
    async def face(
        access: Access,
        *,
        client_ca: str = "",
        limits: Limits | None = None,
        address: str = "127.0.0.1",
    ) -> AsyncIterator[Face]:
        jobs, port = SomeJobs(), free_port()
        tls = server_context(own_identity(tmp_path / "state", ["127.0.0.1"]), client_ca)
        app = make_app(jobs, AskedFunctions(), access, Metrics())
        async with listening(app, address, port, tls, limits or Limits()) as acceptor:
            yield Face(acceptor, "127.0.0.1", port, jobs, tmp_path)

    return face


# --- certificates -------------------------------------------------------------------------------------------------

_PURPOSES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


class Authority:
    """A CA whose certificate lies in ``file``; what it issues lies beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        own = _builder(name, name, self._key, (-10, 10))
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.file.write_bytes(_pem(own.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())))

    def issue(self, purpose: str = "client", days: tuple[int, int] = (-1, 1), *, self_signed: bool = False) -> Any:
        """A context that presents such a certificate, and trusts whoever answers."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder("caller", "caller" if self_signed else self._name, key, days)
        if purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([_PURPOSES[purpose]]), critical=False)
        certificate = builder.sign(key if self_signed else self._key, hashes.SHA256())
        file = self._folder / "caller.pem"
        encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        file.write_bytes(_pem(certificate) + key.private_bytes(encoding, private, serialization.NoEncryption()))
        context = unverified()
        context.load_cert_chain(file)
        return context


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    by, of = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (issuer, subject))
    now = datetime.now(UTC)
    start, end = (now + timedelta(days=each) for each in days)
    return x509.CertificateBuilder(by, of, key.public_key(), x509.random_serial_number(), start, end)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Callable[[str], Authority]:
    return lambda name: Authority(tmp_path, name)
