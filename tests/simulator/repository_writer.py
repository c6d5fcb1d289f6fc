"""A repository with one image that is written to, and a client that shows its token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request

from simulator.faults import Fault, parse_fault

TOKEN: Final = "0123456789abcdef"
BEARER: Final = {"Authorization": f"Bearer {TOKEN}"}
PREFIX: Final = "/ogrepository/images"
DATA: Final = bytes(range(256)) * 4096
SIZE: Final = len(DATA)
HALF: Final = SIZE // 2
PART: Final = ".X.img.CrearImagen-1a2b3c4d.part"
_PATIENCE_S: Final = 300

Client = TestClient[Request, Application]


class Faults:
    def __init__(self) -> None:
        self.present: tuple[Fault, ...] = ()
        self.asked = 0
        """How often the repository has looked at them."""

    def __call__(self) -> tuple[Fault, ...]:
        self.asked += 1
        return self.present

    def become(self, *texts: str) -> None:
        self.present = tuple(parse_fault(text) for text in texts)


async def asked(
    client: Client, method: str, name: str, data: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of a call with the token; ``name`` begins with the slash, if there is one."""
    async with client.request(method, PREFIX + name, data=data, headers={**BEARER, **(headers or {})}) as response:
        return response.status, await response.read()


async def status(client: Client, method: str, name: str, **headers: str) -> int:
    return (await asked(client, method, name, headers={word.title(): text for word, text in headers.items()}))[0]


async def put(client: Client, name: str, data: Any) -> int:
    return (await asked(client, "PUT", f"/{name}", data))[0]


async def move(client: Client, source: str, target: str, method: str = "MOVE", **headers: str) -> int:
    return await status(client, method, f"/{source}", destination=f"{PREFIX}/{target}", **headers)


async def connected(
    port: int | None, head: str, body: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """``head`` is sent as it stands, with the token, where an HTTP client would put it right."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = f"{head}\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {BEARER['Authorization']}\r\n\r\n"
    writer.write(lines.encode() + body)
    await writer.drain()
    return reader, writer


async def raw_status(client: Client, head: str) -> int:
    reader, writer = await connected(client.port, head)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is a file
            await asyncio.sleep(0.01)


def files(directory: Path) -> dict[str, bytes]:
    """All there are, by name, hidden ones as well; a folder by its name and a slash. What goes while it is looked at
    is not there.
    """
    found: dict[str, bytes] = {}
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            content = b"" if path.is_dir() else path.read_bytes()
            found[f"{path.relative_to(directory)}" + "/" * path.is_dir()] = content
    return found
