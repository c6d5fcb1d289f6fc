"""Mode certificate: who has no certificate of the CA gets no further than the handshake, or than the two open calls."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ogagent.http.access import CertificateAccess
from tests.block_devices import block_devices

pytestmark = pytest.mark.xdist_group("certificates")


@pytest.fixture
def university(authority: Callable[[str], Any]) -> Any:
    return authority("university")


async def test_a_certificate_of_the_ca_opens(open_face: Any, university: Any) -> None:
    async with open_face(CertificateAccess(), client_ca=str(university.file)) as agent:
        assert (await agent.get("/jobs", university.issue())).startswith(b"HTTP/1.1 200 ")
        assert (await agent.get("/jobs", university.issue(purpose=""))).startswith(b"HTTP/1.1 200 ")


async def test_no_certificate_is_a_missing_credential_and_the_open_calls_answer(
    open_face: Any, university: Any
) -> None:
    async with open_face(CertificateAccess(), client_ca=str(university.file)) as agent:
        answer = await agent.get("/jobs", None, "Authorization: 0123456789abcdef0123456789abcdef")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"credential-missing" in answer
        for path in ("/healthz", "/opengnsys/status"):
            assert (await agent.get(path)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["expired", "not yet valid", "foreign", "same name", "self-signed", "for servers"])
async def test_a_wrong_certificate_ends_the_handshake(
    open_face: Any, university: Any, authority: Callable[[str], Any], kind: str
) -> None:
    issued = {
        "expired": lambda: university.issue(days=(-9, -1)),
        "not yet valid": lambda: university.issue(days=(1, 9)),
        "foreign": lambda: authority("another university").issue(),
        "same name": lambda: authority("university").issue(),
        "self-signed": lambda: university.issue(self_signed=True),
        "for servers": lambda: university.issue(purpose="server"),
    }
    trusted = university.file.read_bytes()
    good = university.issue()
    context = issued[kind]()
    university.file.write_bytes(trusted)
    async with open_face(CertificateAccess(), client_ca=str(university.file)) as agent:
        for path in ("/jobs", "/healthz"):
            try:
                answer = await agent.get(path, context)
            except OSError:  # TLS 1.2 and some versions of OpenSSL say so at once
                answer = b""
            assert answer == b""
        assert (await agent.get("/jobs", good)).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_is_good_for_one_call(open_face: Any, university: Any) -> None:
    """So that a CA that is no longer trusted has no open connections left."""
    async with open_face(CertificateAccess(), client_ca=str(university.file)) as agent:
        twice = b"GET /jobs HTTP/1.1\r\nHost: agent\r\n\r\n" * 2
        answer = await agent.tell(twice, university.issue())
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in answer


# --- the agent as a process ---------------------------------------------------------------------------------------


@asynccontextmanager
async def served(folder: Path, ca: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    config = folder / "ogagent.toml"
    config.write_text(
        '[server]\naddress = "127.0.0.1"\nport = 8444\n'
        f'[access]\nmode = "certificate"\nclient_ca = "{ca}"\n'
        f"[disks]\nexclude = {json.dumps(block_devices())}\n"
        f'[machine]\nkind = "oglive"\n[state]\ndir = "{folder / "state"}"\n'
    )
    command = [sys.executable, "-m", "ogagent", "serve", "--config", str(config)]
    agent = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        yield agent
        agent.terminate()
        assert await asyncio.wait_for(agent.wait(), 300) == 0
    finally:
        if agent.returncode is None:
            agent.kill()
            await agent.wait()


async def heard(agent: asyncio.subprocess.Process, words: str) -> str:
    assert agent.stderr is not None
    while line := (await asyncio.wait_for(agent.stderr.readline(), 300)).decode():
        if words in line:
            return line
    raise AssertionError(f"the agent never said: {words}")


async def answered(tls: Any) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", 8444, ssl=tls)
    try:
        writer.write(b"GET /jobs HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(reader.readline(), 300)
    except OSError:
        return b""
    finally:
        writer.transport.abort()


async def test_sighup_reads_the_ca_again(tmp_path: Path, authority: Callable[[str], Any]) -> None:
    before, after = authority("before"), authority("after")
    old, new = before.issue(), after.issue()
    async with served(tmp_path, before.file) as agent:
        await heard(agent, "listens on")
        assert b" 200 " in await answered(old)
        assert b" 200 " not in await answered(new)
        before.file.write_bytes(b"no certificate")
        agent.send_signal(signal.SIGHUP)
        assert str(before.file) in await heard(agent, "stays as it was")
        assert b" 200 " in await answered(old)
        before.file.write_bytes(after.file.read_bytes())
        agent.send_signal(signal.SIGHUP)
        await heard(agent, "was read again")
        assert b" 200 " not in await answered(old)
        assert b" 200 " in await answered(new)
