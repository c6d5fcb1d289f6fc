"""What the engines may do while they run, and that none of them outlives the agent."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import pytest

from ogagent.crowd.station import ENGINE
from simulator.repository.crowd.torrents import make_torrent
from tests.crowd.kept import Kept
from tests.crowd.senders import CARD, crowded, running
from tests.simulator.crowd.room import PATIENCE_S, children_of, runs

__all__ = ["crowded"]

pytestmark = [pytest.mark.usefixtures("crowded"), pytest.mark.xdist_group("multicast")]

AGENT: Final = f"""
import sys
sys.path[:0] = {sys.path!r}
import asyncio, time
from pathlib import Path
from ogagent.crowd.arrivals import Need
from ogagent.crowd.station import Station
from ogagent.crowd.swarm import Swarm
from ogagent.crowd.udpcast import Udpcast
from ogagent.crowd.uftp import Uftp
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from tests.crowd.kept import Kept

async def main(engine, folder):
    kept = Kept(Path(folder, "pc"))
    size, session = len(kept.data), Session(engine=engine, port=9300)
    wanted = Ranges(0, size)
    station = Station(interface="{CARD}", join_timeout_s=3600, stall_s=3600)
    need = Need(wanted, size, None, kept, None)
    if engine == "p2p":
        arrivals = Swarm(session, station, Path(folder, "torrent").read_bytes(), need, kept)
    elif engine == "uftp":
        arrivals = Uftp(session, station, "image.img", size, kept, time.monotonic)
    else:
        arrivals = Udpcast(session, station, wanted, time.monotonic)
    async for _ in arrivals.stretches():
        pass

asyncio.run(main(*sys.argv[1:]))
"""
NONE: Final = "0" * 16


@pytest.mark.parametrize(("engine", "program"), [("udpcast", "udp-receiver"), ("uftp", "uftpd"), ("p2p", "python")])
async def test_it_has_no_rights_and_ends_with_the_agent(tmp_path: Path, engine: str, program: str) -> None:
    image = Kept(tmp_path / "seed")
    image.file.write_bytes(image.data)
    (tmp_path / "torrent").write_bytes(make_torrent(image.file, "http://10.78.0.2:6969/announce"))
    async with running(sys.executable, "-c", AGENT, engine, f"{tmp_path}") as agent:
        child, status = await _engine(agent.pid, program)
        children = children_of(agent.pid)
        agent.kill()
        async with asyncio.timeout(PATIENCE_S):
            while any(map(runs, children)):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
    assert child in children
    assert set(status["Gid"].split()) == {f"{ENGINE.gid}"}
    assert not status["Groups"].split()
    assert {status[each] for each in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {NONE}
    assert status["NoNewPrivs"] == "1"


async def _engine(agent: int, program: str) -> tuple[int, dict[str, str]]:
    """As soon as it is the program that it is to be, and somebody else than root."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for child in children_of(agent):
                status = _status(child)
                if set(status["Uid"].split()) == {f"{ENGINE.uid}"} and status["Name"].startswith(program):
                    return child, status
            await asyncio.sleep(0.01)


def _status(pid: int) -> dict[str, str]:
    """Of proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
