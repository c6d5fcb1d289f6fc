"""What the agent says of the machine that it is on, before anybody trusts it with a disk."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from ogagent.check import tools as tool_check
from ogagent.check.check import check
from ogagent.check.finding import Finding, Verdict, ok, warning
from ogagent.check.named import named as things_named
from ogagent.check.reach import ogcore
from ogagent.check.state import state_directory, state_on_cache
from ogagent.cli_check import as_text
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.settings import (
    AccessSettings,
    CacheSettings,
    CrowdSettings,
    FinishSettings,
    OgCoreSettings,
    Settings,
)
from ogagent.settings_state import StateSettings
from simulator.machine.file_machine import FileMachine
from tests.e2e.agent_process import own_certificate, served

ADDRESS = "127.0.3.7"
DISK = Disk(disk=1, device="/dev/sdz", size=1 << 40, sector_size=512, model="", table="gpt", identity="x")
CACHE = Partition(
    partition=4, device="/dev/sdz4", start=0, size=1 << 30, code="CA00", cache=True, filesystem="ext4"
)  # fmt: skip


class DisksOf(FileMachine):
    """A machine with these disks, and nothing behind them."""

    def __init__(self, *disks: Disk) -> None:
        super().__init__([])
        self._found = Inventory(disks=disks)

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as a machine has it
        return self._found


def named(found: list[Finding], what: str) -> Finding:
    (each,) = [each for each in found if each.what == what]
    return each


def mounts(tmp_path: Path, *rows: tuple[str, str, str]) -> Path:
    """Mount point, kind and options, as proc(5) has them."""
    file = tmp_path / "mountinfo"
    lines = [f"1 0 0:1 / {point} rw - {kind} source {options}\n" for point, kind, options in rows]
    file.write_text("".join(lines), "utf-8")
    return file


@pytest.mark.parametrize(
    ("rows", "state", "words"),
    [
        ([("/", "ext4", "rw")], Verdict.OK, "on ext4"),
        ([("/", "tmpfs", "rw")], Verdict.WARNING, "lies in memory (tmpfs)"),
        ([("/", "ext4", "rw"), ("/state", "tmpfs", "rw")], Verdict.WARNING, "lies in memory (tmpfs)"),
        ([("/", "tmpfs", "rw"), ("/state", "ext4", "rw")], Verdict.OK, "on ext4"),
        (
            [("/", "overlay", "rw,upperdir=/up,workdir=/w"), ("/up", "tmpfs", "rw")],
            Verdict.WARNING,
            "in memory (tmpfs)",
        ),
        ([("/", "overlay", "rw,upperdir=/up,workdir=/w"), ("/up", "ext4", "rw")], Verdict.OK, "on ext4"),
        ([("/", "overlay", "rw,lowerdir=/a")], Verdict.WARNING, "in memory (overlay)"),
    ],
)
def test_on_what_the_state_lies(tmp_path: Path, rows: list[tuple[str, str, str]], state: Verdict, words: str) -> None:
    found = state_directory(Path("/state/dir"), mounts(tmp_path, *rows))
    assert found.state is state
    assert words in found.said
    assert bool(found.hint) is (state is not Verdict.OK)


@pytest.mark.parametrize(
    ("kind", "cache", "state", "words"),
    [
        ("tmpfs", True, Verdict.OK, "lies in memory (tmpfs); the CACHE (/dev/sdz4) keeps jobs"),
        ("tmpfs", False, Verdict.WARNING, "no disk has a CACHE to keep jobs and reports on; /var/lib/ogagent lies in"),
        ("ext4", True, Verdict.OK, "lies on a disk; the CACHE (/dev/sdz4) keeps jobs"),
        ("ext4", False, Verdict.OK, "/var/lib/ogagent lies on a disk"),
    ],
)
def test_what_a_cache_keeps(tmp_path: Path, kind: str, cache: bool, state: Verdict, words: str) -> None:
    inventory = Inventory(disks=(replace(DISK, partitions=(CACHE,) if cache else ()),))
    found = state_on_cache(StateSettings(dir="cache"), inventory, mounts(tmp_path, ("/var", kind, "rw")))
    assert found.state is state
    assert words in found.said
    assert bool(found.hint) is (state is not Verdict.OK)


async def test_where_the_state_is_is_said_once() -> None:
    on_cache = Settings(state=StateSettings(dir="cache"))
    disk = replace(DISK, partitions=(CACHE,))
    assert "the CACHE (/dev/sdz4) keeps jobs" in named(await check(on_cache, DisksOf(disk)), "state.dir").said
    assert "CACHE" not in named(await check(on_cache, None), "state.dir").said
    assert "CACHE" not in named(await check(Settings(), DisksOf(disk)), "state.dir").said


async def test_a_cache_is_found_or_missed() -> None:
    empty = replace(DISK, problem="it does not answer")
    without = await check(Settings(), DisksOf(empty))
    assert named(without, "CACHE").state is Verdict.PROBLEM
    assert named(without, "/dev/sdz") == warning("/dev/sdz", "it does not answer", "see ogagent disks")
    allowed = await check(Settings(cache=CacheSettings(required=False)), DisksOf(empty))
    assert named(allowed, "CACHE").state is Verdict.OK
    disk = replace(DISK, partitions=(CACHE,))
    found = named(await check(Settings(), DisksOf(disk)), "CACHE")
    assert found.state is Verdict.OK
    assert "/dev/sdz4" in found.said


async def test_an_installed_system_is_asked_for_less() -> None:
    found = {each.what for each in await check(Settings(), None)}
    assert {"Python", "clock", "state.dir", "ogCore"} <= found
    assert not {"CACHE", "partclone", "fdisk", "firmware"} & found


async def test_programs_that_are_missing_are_named_with_their_package() -> None:
    found = await tool_check.tools(is_installed=lambda _program: False)
    assert named(found, "xfsprogs") == warning(
        "xfsprogs", "mkfs.xfs, xfs_growfs not installed, for XFS that is made, grown", "apt install xfsprogs"
    )
    assert {each.what for each in found if each.state is Verdict.PROBLEM} == tool_check.NEEDED
    for each in tool_check.PURPOSES:
        assert named(found, each).hint == f"apt install {each}"


def test_what_the_settings_name(tmp_path: Path) -> None:
    """Files that are not there would show when the agent starts, or after the last byte of a restore."""
    there = tmp_path / "there"
    there.write_text("#!/bin/sh\n")
    assert list(things_named(Settings())) == []
    hook, secret = FinishSettings(hook=f"{there}"), AccessSettings(secret_file=f"{tmp_path}/gone")
    found = {each.what: (each.state, each.said) for each in things_named(Settings(finish=hook, access=secret))}
    assert found == {
        "access.secret_file": (Verdict.PROBLEM, f"{tmp_path}/gone: No such file or directory"),
        "finish.hook": (Verdict.PROBLEM, f"{there} is no program that may be run"),
    }
    there.chmod(0o755)
    assert list(things_named(Settings(finish=hook))) == [ok("files", "1 that the settings name")]
    (card,) = things_named(Settings(crowd=CrowdSettings(interface="no-card")))
    assert (card.state, card.said) == (Verdict.WARNING, "there is no network card no-card")
    assert "lo" in card.hint
    assert list(things_named(Settings(crowd=CrowdSettings(interface="lo")))) == []


async def test_what_the_settings_name_is_looked_at(tmp_path: Path) -> None:
    found = await check(Settings(access=AccessSettings(secret_file=f"{tmp_path}/gone")), DisksOf(DISK))
    assert named(found, "access.secret_file").state is Verdict.PROBLEM


async def test_an_ogcore_that_is_believed(tmp_path: Path) -> None:
    async with served(web.Application(), ADDRESS, own_certificate(tmp_path, ADDRESS)) as port:
        found = await ogcore(OgCoreSettings(url=f"https://{ADDRESS}:{port}", ca=str(tmp_path / "ogcore.pem")))
    assert found.state is Verdict.OK
    assert "with a certificate until" in found.said
    assert "GMT" in found.said


async def test_an_ogcore_that_nobody_vouches_for(tmp_path: Path) -> None:
    async with served(web.Application(), ADDRESS, own_certificate(tmp_path, ADDRESS)) as port:
        found = await ogcore(OgCoreSettings(url=f"https://{ADDRESS}:{port}"))
    assert found.state is Verdict.PROBLEM
    assert "is not believed: self-signed certificate" in found.said
    assert found.hint == "ogcore.ca has to be the CA that has signed it"


async def test_an_ogcore_that_is_not_there() -> None:
    with socket.socket() as closed:
        closed.bind((ADDRESS, 0))
        found = await ogcore(OgCoreSettings(url=f"https://{ADDRESS}:{closed.getsockname()[1]}"))
    assert found.state is Verdict.PROBLEM
    assert "Connect" in found.said
    assert (await ogcore(OgCoreSettings(url="https://x", ca="/no/such.pem"))).said.startswith("ogcore.ca: /no/such.pem")
    assert (await ogcore(OgCoreSettings())).state is Verdict.WARNING


def test_lines_stand_under_each_other() -> None:
    assert as_text([ok("Python", "3.11"), warning("a-long-name", "is missing", "apt install it")]) == (
        "ok       Python       3.11\nwarning  a-long-name  is missing\n                      → apt install it"
    )
