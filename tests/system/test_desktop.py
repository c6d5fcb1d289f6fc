"""A message on somebody's desktop, and a program that runs as she does: over a real bus, as a real user."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.errors import ToolFailed
from ogagent.system.account import Account, account_of
from ogagent.system.desktop import RealDesktop, notify
from ogagent.system.logind import Session
from ogagent.system.process import run
from ogagent.system.script import run_script_as
from tests.system.logind_twin import Bus, private_bus

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534

HOSTILE = "<b>bold</b> & <img src='http://evil/'> $(touch /tmp/x) `id` \\n \"quoted\" 'too' ; rm -rf ~ -- --help"


class Screen:
    """org.freedesktop.Notifications: what is to be shown is written down."""

    def __init__(self, *capabilities: str) -> None:
        self.shown: list[list[Any]] = []
        self._capabilities = ["body", *capabilities]

    async def come(self, bus: Bus) -> None:
        connection = await bus.connect()
        connection.add_message_handler(self._answer)
        await connection.request_name("org.freedesktop.Notifications")

    def _answer(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.member == "GetCapabilities":
            return Message.new_method_return(message, "as", [self._capabilities])
        if message.member == "Notify" and message.signature == "susssasa{sv}i":
            self.shown.append(message.body)
            return Message.new_method_return(message, "u", [len(self.shown)])
        return None


class At(Account, frozen=True, kw_only=True):
    """Whose bus lies elsewhere than it usually does."""

    bus: str

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"DBUS_SESSION_BUS_ADDRESS": self.bus}


def me(bus: Bus) -> At:
    uid = os.geteuid()
    return At(uid=uid, gid=os.getegid(), groups=(), name=pwd.getpwuid(uid).pw_name, home="/", bus=bus.address)


needs_busctl = pytest.mark.skipif(not shutil.which("busctl"), reason="busctl is not installed (package systemd)")


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with private_bus() as bus:
        yield bus


@needs_busctl
async def test_it_is_shown_as_text_where_markup_is_known(bus: Bus) -> None:
    screen = Screen("body-markup", "actions")
    await screen.come(bus)
    await notify(me(bus), "<i>Exam</i>", HOSTILE)
    ((name, replaces, icon, summary, body, actions, hints, timeout),) = screen.shown
    assert (name, replaces, icon, actions, hints, timeout) == ("OpenGnsys", 0, "", [], {}, -1)
    assert summary == "<i>Exam</i>", "a summary is never markup"
    assert "<" not in body
    assert body == HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@needs_busctl
@pytest.mark.parametrize("message", [HOSTILE, "-1", "--version", "two\nlines", " ", "ñ € 日本 🎓", "%s %d {0}"])
async def test_it_is_shown_as_it_is_where_no_markup_is_known(bus: Bus, message: str) -> None:
    screen = Screen()
    await screen.come(bus)
    await notify(me(bus), message, message)
    assert [(each[3], each[4]) for each in screen.shown] == [(message, message)]


@needs_busctl
async def test_a_desktop_that_shows_nothing(bus: Bus) -> None:
    with pytest.raises(ToolFailed, match="busctl failed"):
        await notify(me(bus), "Exam", "starts")


async def test_whose_session_it_is() -> None:
    mine = Session(id="1", uid=os.geteuid(), user="whatever logind calls me", kind="x11", display=":7")
    account = await RealDesktop().account(mine)
    assert (account.uid, account.display) == (os.geteuid(), ":7")
    assert account.environment["DISPLAY"] == ":7"
    assert account.environment["DBUS_SESSION_BUS_ADDRESS"] == f"unix:path=/run/user/{os.geteuid()}/bus"
    with pytest.raises(ToolFailed, match="nobody has the number 4294967294"):
        await RealDesktop().account(Session(id="1", uid=4294967294, user="ghost", kind="tty"))


# --- as somebody else ---------------------------------------------------------------------------------------------


@needs_root
async def test_a_program_runs_as_she_does() -> None:
    nobody = account_of(NOBODY)
    assert (await run(["id", "-u"], timeout_s=60, account=nobody)).split() == [str(NOBODY).encode()]
    groups = (await run(["id", "-G"], timeout_s=60, account=nobody)).split()
    assert {int(group) for group in groups} == {nobody.gid, *nobody.groups}
    said = (await run(["env"], timeout_s=60, account=nobody)).decode().splitlines()
    assert {f"HOME={nobody.home}", f"USER={nobody.name}", f"XDG_RUNTIME_DIR=/run/user/{NOBODY}"} <= set(said)
    known = {"PATH", "LC_ALL", "LOGNAME", "HOME", "USER", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}
    assert {line.partition("=")[0] for line in said} == known


@needs_root
async def test_a_script_runs_as_she_does_and_reaches_nothing_of_roots(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the agent")
    secret.chmod(0o600)
    script = f"id -u; echo $USER; cat '{secret}'; echo ñ"
    ended = await run_script_as(account_of(NOBODY), script, most=1 << 16)
    assert ended.status == 0
    assert ended.output.splitlines()[:2] == [str(NOBODY), "nobody"]
    assert "ermission denied" in ended.output
    assert "of the agent" not in ended.output
    assert ended.output.endswith("ñ\n")


@needs_root
@pytest.mark.parametrize(
    ("script", "output"), [("#!/usr/bin/python3\nprint(6 * 7)", "42\n"), ("#!/bin/sh -e\nid -un", "nobody\n")]
)
async def test_its_first_line_names_who_runs_it(script: str, output: str) -> None:
    assert (await run_script_as(account_of(NOBODY), script, most=1 << 16)).output == output


@needs_root
async def test_it_is_ended_with_its_children() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ear:
        ear.setblocking(False)
        port = ear.getsockname()[1]
        script = f"trap '' TERM; sleep 1000 & echo $$ $! > /dev/tcp/127.0.0.1/{port}; wait; wait"
        task = asyncio.create_task(run_script_as(account_of(NOBODY), script, most=1 << 16))
        loop = asyncio.get_running_loop()
        caller, _ = await asyncio.wait_for(loop.sock_accept(ear), 300)
        with caller:
            pids = (await asyncio.wait_for(loop.sock_recv(caller, 100), 300)).split()
    task.cancel()
    await asyncio.wait({task})
    assert len(pids) == 2
    async with asyncio.timeout(300):
        while any(_runs(int(pid)) for pid in pids):  # noqa: ASYNC110 - the kernel has yet to take it away
            await asyncio.sleep(0.01)


STUBBORN = """
import asyncio, sys
from ogagent.system.account import account_of
from ogagent.system.script import run_script_as

async def main():
    account = account_of(65534)
    ended = await run_script_as(account, "id -un", most=100)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(ended.output.encode())
    script = f"trap '' TERM; echo $$ > /dev/tcp/127.0.0.1/{sys.argv[1]}; while :; do sleep 1000; done"
    task = asyncio.create_task(run_script_as(account, script, most=100))
    await reader.read(1)
    task.cancel()
    await asyncio.wait({task})

asyncio.run(main())
"""


@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed (package util-linux)")
async def test_it_needs_no_more_than_the_unit_leaves() -> None:
    """It becomes somebody else, and ends what runs as her, by the capabilities of ogagent-installed.service alone."""
    unit = Path(__file__).parents[2] / "systemd" / "ogagent-installed.service"
    (names,) = re.findall("^CapabilityBoundingSet=(.*)$", unit.read_text(), re.MULTILINE)
    bounding = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names.split())
    with socket.create_server(("127.0.0.1", 0)) as ear:
        ear.setblocking(False)
        command = ("setpriv", f"--bounding-set=-all,{bounding}", "--no-new-privs", sys.executable, "-c", STUBBORN)
        process = await asyncio.create_subprocess_exec(*command, str(ear.getsockname()[1]), cwd=unit.parents[1])
        loop = asyncio.get_running_loop()
        told, _ = await asyncio.wait_for(loop.sock_accept(ear), 300)
        with told:
            assert await asyncio.wait_for(loop.sock_recv(told, 100), 300) == b"nobody\n"
            script, _ = await asyncio.wait_for(loop.sock_accept(ear), 300)
            with script:
                pid = int(await asyncio.wait_for(loop.sock_recv(script, 100), 300))
            await loop.sock_sendall(told, b"!")
        assert await asyncio.wait_for(process.wait(), 300) == 0
    async with asyncio.timeout(300):
        while _runs(pid):  # noqa: ASYNC110 - the kernel has yet to take it away
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- and what markup there is -------------------------------------------------------------------------------------


@needs_busctl
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_whatever_is_shown_holds_no_markup(message: str) -> None:
    async def shown() -> str:
        async with private_bus() as bus:
            screen = Screen("body-markup")
            await screen.come(bus)
            await notify(me(bus), "title", message)
            return str(screen.shown[0][4])

    body = asyncio.run(shown())
    assert "<" not in body
    assert body.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == message
