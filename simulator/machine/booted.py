"""What runs on a client that has booted from its disk: OpenGnsys' agent of the installed system, as far as its state.

It starts only when the partition would really boot: the disk is looked at, nobody is asked.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

from simulator import __version__
from simulator.errors import LabError
from simulator.ext4 import read_file
from simulator.machine.table import read_disk

_BEGINNING: Final = 128 << 10
"""Bytes that hold the boot sector and the superblock of whatever boots. Further on a partition may say who wiped it."""
_OS_RELEASE: Final = "/usr/lib/os-release"
_STARTED: Final = "/opengnsys/rest/ogagent/started"
_STOPPED: Final = "/opengnsys/rest/ogagent/stopped"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_ATTEMPTS: Final = 20
_PAUSE_S: Final = 0.5


class Booted(Struct, frozen=True, kw_only=True):
    """``fingerprint`` is that of the certificate that the client shows."""

    ip: str
    ogcore: str
    ogcore_tls: ssl.SSLContext
    fingerprint: str
    system: str


def installed_system(disk: Path, partition: int) -> str:
    """The name of the system that would boot. Raises LabError when none would."""
    with disk.open("rb") as file:
        row = read_disk(file.fileno()).row(partition)
        if row is None:
            raise LabError(f"{disk} has no partition {partition}")
        file.seek(row.start)
        if not any(file.read(_BEGINNING)):
            raise LabError(f"partition {partition} of {disk} does not boot: its beginning is empty")
    text = read_file(disk, _OS_RELEASE, offset=row.start)
    name = re.search(r'^PRETTY_NAME="?([^"\n]+)', text, re.MULTILINE)
    if not name:
        raise LabError(f"partition {partition} of {disk} does not boot: it holds no {_OS_RELEASE}")
    return name[1]


async def booted_app(booted: Booted) -> web.Application:
    """``POST /lab/login`` and ``/lab/logout`` stand for a person at the keyboard."""
    secret = secrets.token_urlsafe()
    people: set[str] = set()

    async def status(_: web.Request) -> web.Response:
        return web.json_response({"status": "linux", "loggedin": bool(people)})

    async def login(_: web.Request) -> web.Response:
        people.add("alumno")
        return web.Response(status=204)

    async def logout(_: web.Request) -> web.Response:
        people.clear()
        return web.Response(status=204)

    async def registered(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_tell(booted, _STARTED, secret, attempts=_ATTEMPTS))
        yield
        task.cancel()
        await asyncio.wait({task})
        await _tell(booted, _STOPPED, secret, attempts=1)

    app = web.Application()
    app.router.add_get("/opengnsys/status", status)
    app.router.add_post("/lab/login", login)
    app.router.add_post("/lab/logout", logout)
    app.cleanup_ctx.append(registered)
    return app


async def _tell(booted: Booted, path: str, secret: str, *, attempts: int) -> None:
    """Gives up in the end, as a client does whose ogCore is away: it works all the same."""
    members = {"ip": booted.ip, "mac": "", "secret": secret, "fingerprint": booted.fingerprint, "ostype": "linux"}
    body = msgspec.json.encode({**members, "osversion": booted.system, "agent_version": __version__})
    signature = f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"
    headers = {"Content-Type": "application/json", "X-OgAgent-Signature": signature}
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for _ in range(attempts):
            try:
                request = session.post(booted.ogcore + path, data=body, headers=headers, ssl=booted.ogcore_tls)
                async with request as answer:
                    if answer.status < 500:
                        return
            except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
                pass
            await asyncio.sleep(_PAUSE_S)
