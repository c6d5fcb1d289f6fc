"""A simulated PC goes down, and comes up again as it was told: alone, and in a room."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ogagent.errors import NoSystem
from ogagent.model.plan import Target
from ogagent.power.power import BootPlace
from simulator.ext4 import fill, make_filesystem
from simulator.lab.hosts import demo_hosts
from simulator.lab.room import Room, open_room
from simulator.machine.classroom import DATA, SYSTEM, make_disk
from simulator.machine.file_power import RESTARTS, SWITCHED_OFF, FilePower, boot_next
from simulator.machine.gpt import Entry
from simulator.tree import linux_tree

UUID = "01936caf-facb-72ad-9446-97e7dbf2b96a"
FAR_S = 300


def install(disk: Path) -> None:
    make_filesystem(disk, SYSTEM.size, uuid=UUID, label="", offset=SYSTEM.start)
    fill(disk, linux_tree(UUID), offset=SYSTEM.start)


def place(entry: Entry) -> BootPlace:
    target = Target(
        disk=1, partition=entry.number, device="", disk_device="", identity="", start=entry.start, size=entry.size,
        sector_size=512,
    )  # fmt: skip
    return BootPlace(partition=target, filesystem="ext4", table="gpt")


@pytest.fixture
def ended() -> Iterator[list[int]]:
    """The signals that would have ended the agent."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    yield came
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    make_disk(tmp_path / "disk")
    install(tmp_path / "disk")
    return tmp_path / "disk"


async def test_what_it_is_told_is_how_its_agent_ends(tmp_path: Path, ended: list[int]) -> None:
    power = FilePower([], tmp_path / "nvram")
    assert power.ended == 0
    await power.restart()
    assert (power.ended, boot_next(tmp_path / "nvram")) == (RESTARTS, None)
    await power.switch_off()
    assert (power.ended, ended) == (SWITCHED_OFF, [signal.SIGTERM, signal.SIGTERM])


async def test_it_boots_from_the_partition_once(tmp_path: Path, disk: Path, ended: list[int]) -> None:
    power = FilePower([disk], tmp_path / "nvram")
    way = await power.way_to(place(SYSTEM))
    assert way.would == "start Ubuntu 24.04 LTS once, and restart"
    assert boot_next(tmp_path / "nvram") is None
    await way.prepare()
    assert ended == []
    await way.go()
    assert (power.ended, ended) == (RESTARTS, [signal.SIGTERM])
    assert boot_next(tmp_path / "nvram") == (1, SYSTEM.number)
    assert boot_next(tmp_path / "nvram") is None


async def test_what_does_not_boot_is_said(tmp_path: Path, disk: Path) -> None:
    with pytest.raises(NoSystem):
        await FilePower([disk], tmp_path / "nvram").way_to(place(DATA))


def call(room: Room, client: str, function: str, **members: Any) -> None:
    host = room.hosts[client]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host.place.address, host.place.port, timeout=FAR_S, context=context)
    headers = {"Authorization": host.secret.read_text().strip()}
    connection.request("POST", function, json.dumps(members), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


@pytest.mark.xdist_group("room")
def test_in_a_room(tmp_path: Path) -> None:
    with open_room(tmp_path, demo_hosts(tmp_path)) as room:

        def until(condition: Callable[[], bool]) -> None:
            end = time.monotonic() + FAR_S
            while not condition():
                errors = [error for name in room.hosts if (error := room.ended(name))]
                assert errors == []
                room.check()
                assert time.monotonic() < end
                time.sleep(0.05)

        room.start_servers(mbit=0)
        for name in room.hosts:
            room.start_client(name)
        for name in room.hosts:
            room.wait_for_state(name, "og-live")
        agent = room.pid("pc1")

        call(room, "pc1", "/CloningEngine/Reiniciar")
        until(lambda: room.pid("pc1") not in (agent, None))
        until(lambda: room.state("pc1") == "og-live")

        install(room.hosts["pc1"].disks[0])
        call(room, "pc1", "/CloningEngine/IniciarSesion", dsk="1", par=str(SYSTEM.number))
        until(lambda: room.state("pc1") == "linux")

        call(room, "modelo", "/opengnsys/poweroff")
        until(lambda: not room.runs("modelo"))
        until(lambda: room.state("modelo") == "off")
        assert room.runs("pc1")
