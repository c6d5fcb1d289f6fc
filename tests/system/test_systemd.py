"""sd_notify against real datagram sockets, by path and in the abstract namespace."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ogagent.system.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """What systemd puts into NOTIFY_SOCKET, and its end of the socket."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@ogagent-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        receiver.settimeout(300)
        yield name, receiver


def test_what_is_said_arrives(manager: tuple[str, socket.socket]) -> None:
    name, receiver = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.status("restoring disk 1\nREADY=1")
    notifier.stopping()
    assert [receiver.recv(4096) for _ in range(3)] == [b"READY=1", b"STATUS=restoring disk 1 READY=1", b"STOPPING=1"]


async def test_the_watchdog_is_served_while_the_loop_turns(manager: tuple[str, socket.socket]) -> None:
    name, receiver = manager
    receiver.setblocking(False)
    task = asyncio.create_task(Notifier(name, watchdog_s=0.001).keep_alive())
    async with asyncio.timeout(300):
        for _ in range(3):
            assert await asyncio.get_running_loop().sock_recv(receiver, 4096) == b"WATCHDOG=1"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_systemd_nothing_is_sent() -> None:
    notifier = Notifier.from_environment({})
    notifier.ready()
    notifier.stopping()
    await notifier.keep_alive()


def test_a_manager_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "gone")).ready()


def test_a_manager_that_does_not_read_does_not_block(manager: tuple[str, socket.socket]) -> None:
    notifier = Notifier(manager[0])
    for _ in range(5000):
        notifier.ready()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_the_watchdog_interval_is_half_of_its_patience(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier.from_environment(environment).watchdog_s == seconds
