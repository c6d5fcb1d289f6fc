"""Who has no right to call opens no call, whatever it is; and what was said once cannot be said again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from ogagent.http.access import AddressAccess, SecretAccess
from ogagent.http.calls import CALLS, Call
from ogagent.settings import AccessSettings

pytestmark = pytest.mark.xdist_group("attackers")

SECRET = "0123456789abcdef" * 4
BODY = b'{"dsk":1,"par":2,"idi":"1","nci":"image-test","ipr":"127.0.0.1","job_id":"RestaurarImagen-dfa42888"}'
CLOSED_CALLS = [call for call in CALLS if not call.open]
NAMES = [f"{call.method} {call.path}" for call in CLOSED_CALLS]


def request(call: Call, *headers: str) -> bytes:
    path = call.path.replace("{job_id}", "RestaurarImagen-dfa42888")
    lines = [f"{call.method} {path} HTTP/1.1", "Host: agent", "Connection: close", f"Content-Length: {len(BODY)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + BODY


@pytest.mark.parametrize("call", CLOSED_CALLS, ids=NAMES)
async def test_no_credential_opens_no_call(open_face: Any, call: Call) -> None:
    async with open_face(SecretAccess(SECRET)) as agent:
        assert (await agent.tell(request(call))).startswith(b"HTTP/1.1 401 ")
        assert agent.jobs.asked == []


@pytest.mark.parametrize("call", CLOSED_CALLS, ids=NAMES)
async def test_a_wrong_secret_opens_no_call(open_face: Any, call: Call) -> None:
    async with open_face(SecretAccess(SECRET)) as agent:
        for wrong in (SECRET[:-1], SECRET + "0", "Bearer x", "Basic " + SECRET):
            answer = await agent.tell(request(call, f"Authorization: {wrong}"))
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert SECRET.encode() not in answer
        assert agent.jobs.asked == []


@pytest.mark.parametrize("call", CLOSED_CALLS, ids=NAMES)
async def test_another_address_opens_no_call(open_face: Any, call: Call) -> None:
    access = AddressAccess(AccessSettings(mode="address", allow=("192.168.2.1/32",)).networks)
    async with open_face(access) as agent:
        pretended = ("X-Forwarded-For: 192.168.2.1", "Forwarded: for=192.168.2.1", f"Authorization: {SECRET}")
        assert (await agent.tell(request(call, *pretended))).startswith(b"HTTP/1.1 403 ")
        assert agent.jobs.asked == []


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(4096):
            record.extend(data)
            writer.write(data)
    writer.close()


async def test_a_recorded_call_cannot_be_sent_again(open_face: Any) -> None:
    """Somebody on the wire has all bytes of a call that was good."""
    recorded = bytearray()
    async with open_face(SecretAccess(SECRET)) as agent:
        real = agent.port

        async def listen_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, onward = await asyncio.open_connection(agent.address, real)
            await asyncio.gather(pass_on(reader, onward, recorded), pass_on(there, writer, bytearray()))

        wire = await asyncio.start_server(listen_in, "127.0.0.1", 0)
        async with wire:
            agent.port = wire.sockets[0].getsockname()[1]
            await agent.tell(request(CALLS[0], f"Authorization: {SECRET}"))
        assert len(agent.jobs.asked) == 1
        reader, writer = await asyncio.open_connection(agent.address, real)
        writer.write(recorded)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 300)
        writer.transport.abort()
        assert len(agent.jobs.asked) == 1
        assert SECRET.encode() not in recorded


async def test_the_secret_is_where_no_other_user_looks(tmp_path: Path) -> None:
    """Not in the log at its most talkative, not on the command line, not in a file that others may read."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    config = tmp_path / "ogagent.toml"
    config.write_text(
        f'[server]\naddress = "127.0.0.1"\nport = 8445\n[access]\nsecret_file = "{secret}"\n[log]\nlevel = "debug"\n'
        f'[ogcore]\nurl = "https://127.0.0.1:9"\n[machine]\nkind = "oglive"\n[state]\ndir = "{tmp_path / "state"}"\n'
    )
    command = [sys.executable, "-m", "ogagent", "serve", "--config", str(config)]
    agent = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert agent.stderr is not None
    try:
        log = await asyncio.wait_for(agent.stderr.readuntil(b"does not take the registration"), 300)
        shown = await asyncio.to_thread(Path(f"/proc/{agent.pid}/cmdline").read_bytes)
        agent.send_signal(signal.SIGTERM)
        log += await asyncio.wait_for(agent.stderr.read(), 300)
        await agent.wait()
    finally:
        if agent.returncode is None:
            agent.kill()
            await agent.wait()
    assert SECRET.encode() not in log + shown
    assert (await asyncio.to_thread((tmp_path / "state").stat)).st_mode & 0o077 == 0
