"""The switch, and the cables that end there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil
import pytest

from simulator.errors import ToolFailed
from simulator.processes import peer, run
from simulator.switch import Host, own_network, plugged, switch

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root")

PATIENCE_S: Final = 300
KBIT: Final = 100_000
PACKETS: Final = 200
SIZE: Final = 1000
GROUP: Final = "239.194.17.9"
_SEND: Final = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    for _ in range({PACKETS}):
        out.sendto(bytes({SIZE}), ("{GROUP}", 9))
"""
_REACH: Final = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), float(sys.argv[2]))
except ConnectionRefusedError:
    pass  # so says who is there
"""
_JOIN: Final = f"""
import signal, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("{GROUP}") + bytes(4))
    print("joined", flush=True)
    signal.pause()
"""


@pytest.fixture
def hosts() -> Iterator[Sequence[Host]]:
    with own_network(), switch(), ExitStack() as stack:
        yield [stack.enter_context(plugged(number, KBIT)) for number in (1, 2, 3)]
        assert {"ogsim", "ogsim1", "ogsim2", "ogsim3"} < set(psutil.net_if_addrs())


def test_multicast_goes_to_whoever_has_joined(hosts: Sequence[Host], tmp_path: Path) -> None:
    sender, member, other = hosts
    log = tmp_path / "member.log"
    with peer("the member", [*member.bound, sys.executable, "-c", _JOIN], log):
        wait(lambda: "joined" in log.read_text())

        def told_apart() -> bool:
            before = [received(each) for each in (member, other)]
            run([*sender.inside, sys.executable, "-c", _SEND])
            come = [received(each) - count for each, count in zip((member, other), before, strict=True)]
            return come[0] >= PACKETS * SIZE > 10 * come[1]

        wait(told_apart)  # for its first ten seconds it floods


def test_a_cable_that_is_pulled(hosts: Sequence[Host]) -> None:
    one, other, third = hosts
    reach(one, other)
    other.pull()
    with pytest.raises(ToolFailed):
        reach(one, other, patience_s=2)
    reach(one, third)
    other.plug_in()
    reach(one, other)


def test_the_speed_of_a_cable(hosts: Sequence[Host]) -> None:
    host = hosts[0]
    host.set_speed(2000)
    for command in (["tc"], ["tc", "-n", host.name]):
        device = "eth0" if "-n" in command else host.port
        said, _ = run([*command, "qdisc", "show", "dev", device])
        assert "tbf" in said
        assert "rate 2Mbit" in said


def received(host: Host) -> int:
    """Bytes that the switch has sent to it."""
    return int(psutil.net_io_counters(pernic=True)[host.port].bytes_sent)


def reach(source: Host, target: Host, patience_s: int = PATIENCE_S) -> None:
    """Raises ToolFailed when there is no way."""
    run([*source.inside, sys.executable, "-c", _REACH, target.address, str(patience_s)], timeout_s=2 * PATIENCE_S)


def wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)
