"""Senders as ogRepository starts them, and other PCs, on this machine alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import msgspec
import pytest

from ogagent.crowd.neighbours import ALL, Word
from ogagent.crowd.station import Station
from tests.machine.network import is_own
from tests.machine.tools import run

PORT: Final = 9100
GROUP: Final = "239.194.17.2"
CARD: Final = "crowd"
OTHER: Final = f"crowd-{os.getpid()}"
"""Where the other PC is: the name of its network namespace."""
NETWORKS: Final = (ip_network("10.78.0.0/24"),)
_STRANGER: Final = "10.79.0.2"
_PEERS: Final = Station(interface=CARD, join_timeout_s=0, stall_s=0).peer_port
_SPEAKING: Final = f"""
import json, socket, sys, time
voice = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
voice.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.78.0.2"))
stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stranger.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.78.0.2"))
stranger.bind(("{_STRANGER}", 0))
room = "{ALL}", {_PEERS}
count = -10 ** 6  # it has lost so many of others'
for turn in range(1, 1000):
    for _ in range(200):
        voice.sendto(b"the image", ("{ALL}", 9))
        count += 1
        time.sleep(0.0005)
    much = turn * 10 ** 9
    lie = json.dumps({{"port": {PORT}, "packets": much, "receiving": True}}).encode()
    stranger.sendto(lie, room)
    voice.sendto(lie.replace(b"{PORT}", b"9102"), room)
    voice.sendto(lie + b" " * 1000, room)
    voice.sendto(lie.replace(b"packets", b"packet"), room)
    voice.sendto(b'{{"port": {PORT}, "packets": 1e999}}', room)
    voice.sendto(b'{{"port": {PORT}, "packets": 1, "receiving": 1}}', room)
    voice.sendto(b'\\xff\\x00', room)
    count += 8
    said = much if sys.argv[1] == "boasts" else count
    word = {{"port": {PORT}, "packets": said, "receiving": sys.argv[1] == "receives"}}
    voice.sendto(json.dumps(word).encode(), room)
"""
"""Packets for all, and words about them that are believed; in between words that are not, about many more."""

_LISTENING: Final = f"""
import socket
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind(("{ALL}", {_PEERS}))
print("ready", flush=True)
while True:
    print(ear.recv(2000).decode(), flush=True)
"""


@pytest.fixture
def crowded() -> Iterator[None]:
    """A network card that leads to the repository, which is this machine, and to one other PC."""
    if os.geteuid() != 0 or not is_own():
        pytest.skip("there is no network namespace to be had")
    if shutil.which("udp-sender") is None:
        pytest.skip("udpcast is not installed")
    with _other_pc():
        yield


@contextmanager
def _other_pc() -> Iterator[None]:
    run("ip", "netns", "add", OTHER)
    try:
        run("ip", "link", "add", CARD, "type", "veth", "peer", "name", CARD, "netns", OTHER)
        run("ip", "address", "add", "10.78.0.1/24", "dev", CARD)
        run("ip", "-n", OTHER, "address", "add", "10.78.0.2/24", "dev", CARD)
        for where in ([], ["-n", OTHER]):
            run("ip", *where, "link", "set", CARD, "up")
            run("ip", *where, "route", "add", "224.0.0.0/4", "dev", CARD)
        yield
    finally:
        run("ip", "netns", "delete", OTHER)
        subprocess.run(["ip", "link", "delete", CARD], stderr=subprocess.DEVNULL, check=False)


@asynccontextmanager
async def other_receiver(file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another PC takes the image, with upstream's own program."""
    command = ["udp-receiver", "--nokbd", "--portbase", f"{PORT}", "--interface", CARD, "--ttl", "16"]
    async with running("ip", "netns", "exec", OTHER, *command, "--file", f"{file}") as process:
        yield process


@asynccontextmanager
async def another_pc(manner: str) -> AsyncIterator[None]:
    """It says what it gets of the session of ``PORT``: it ``boasts``, or ``receives`` the image."""
    run("ip", "-n", OTHER, "address", "add", f"{_STRANGER}/24", "dev", CARD)
    async with running("ip", "netns", "exec", OTHER, sys.executable, "-c", _SPEAKING, manner):
        yield


@asynccontextmanager
async def words_heard() -> AsyncIterator[Callable[[], Awaitable[Word]]]:
    """The next one that the other PC hears from this one."""
    async with running("ip", "netns", "exec", OTHER, sys.executable, "-c", _LISTENING) as other:
        assert other.stdout is not None
        assert await other.stdout.readline() == b"ready\n"
        lines = other.stdout

        async def heard() -> Word:
            async with asyncio.timeout(300):
                return msgspec.json.decode(await lines.readline(), type=Word)

        yield heard


@asynccontextmanager
async def udp_sender(
    file: Path, clients: int = 1, *, port: int = PORT, speed: str = "200m", drop: int = 65
) -> AsyncIterator[asyncio.subprocess.Process]:
    """OpenGnsys' own command line: ``sendFileMcast`` and ``Protocol.lib``."""
    command = ["udp-sender", "--nokbd", "--retries-until-drop", f"{drop}", "--portbase", f"{port}", "--full-duplex"]
    command += ["--interface", CARD, "--mcast-data-address", GROUP, "--fec", "8x8/128", "--max-bitrate", speed]
    command += ["--ttl", "16", "--min-clients", f"{clients}", "--max-wait", "120", "--file", f"{file}"]
    async with running(*command) as process:
        yield process


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """What it says is its standard output."""
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
