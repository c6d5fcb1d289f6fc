"""Going down: what is settled before, who is asked, and what keeps nobody up."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from shlex import quote

import pytest

from ogagent.errors import ToolFailed
from ogagent.power.down import Down, Goal
from ogagent.system.kernel_calls import reboot
from tests.power.fake_firmware import install


class Machine:
    """``done`` in order. ``systemd`` runs, or does not, by a program of the name systemctl."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.log = folder / "asked"
        self.systemd = folder / "systemd"
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def boots_with_systemd(self, status: int = 0) -> None:
        self.systemd.mkdir()
        install(self.folder / "systemctl", f'#!/bin/sh\necho "$@" >> {quote(str(self.log))}\nexit {status}\n')

    async def leave(self) -> None:
        self.done.append("leave the CACHE")

    def sync(self) -> None:
        self.done.append("sync")

    def kernel(self, command: int) -> None:
        self.done.append(hex(command))

    @property
    def down(self) -> Down:
        return Down(self.leave, systemd=self.systemd, kernel=self.kernel, sync=self.sync)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("goal", "command"), [(Goal.RESTART, "0x1234567"), (Goal.OFF, "0x4321fedc"), (Goal.KEXEC, "0x45584543")]
)
async def test_without_systemd_the_kernel_is_called(machine: Machine, goal: Goal, command: str) -> None:
    await machine.down.go(goal)
    assert machine.done == ["leave the CACHE", "sync", command]


@pytest.mark.parametrize(("goal", "word"), [(Goal.RESTART, "reboot"), (Goal.OFF, "poweroff"), (Goal.KEXEC, "kexec")])
async def test_with_systemd_it_is_asked(machine: Machine, goal: Goal, word: str) -> None:
    machine.boots_with_systemd()
    await machine.down.go(goal)
    assert machine.done == ["leave the CACHE", "sync"]
    assert machine.log.read_text() == f"--no-block {word}\n"


async def test_what_systemd_refuses_is_said(machine: Machine) -> None:
    machine.boots_with_systemd(status=1)
    with pytest.raises(ToolFailed, match="systemctl failed with status 1"):
        await machine.down.go(Goal.RESTART)


async def test_what_the_kernel_refuses_is_said(machine: Machine) -> None:
    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with pytest.raises(ToolFailed, match="the kernel refuses to poweroff: Operation not permitted"):
        await Down(machine.leave, systemd=machine.systemd, kernel=refuse, sync=machine.sync).go(Goal.OFF)


async def test_disks_that_do_not_answer_keep_nobody_up(machine: Machine) -> None:
    answer = threading.Event()

    async def leave() -> None:
        await asyncio.Event().wait()

    def sync() -> None:
        answer.wait()

    await Down(leave, systemd=machine.systemd, kernel=machine.kernel, sync=sync, patience_s=0.1).go(Goal.RESTART)
    assert machine.done == ["0x1234567"]
    answer.set()


def test_the_kernel_knows_no_other_command() -> None:
    with pytest.raises(OSError, match=r"Invalid argument|Operation not permitted"):
        reboot(7)
