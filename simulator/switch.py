"""A switch, and hosts in network namespaces of their own, each on a cable with a speed."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Final

import psutil

from simulator.errors import LabError, ToolFailed
from simulator.processes import run
from simulator.signals import signals_held, undisturbed

TOOLS: Final = ("ip", "tc", "setpriv", "sysctl")
_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_BRIDGE: Final = "ogsim"
NET: Final = "10.80.0"
"""Without the number of a host. Private: RFC 1918."""
OWN: Final = f"{NET}.254"
"""Where whoever made the switch is himself, on it."""
MOST_HOSTS: Final = 200
MEGABIT: Final = 1000
"""In kbit: the speed of a cable is in kbit/s."""
_GROUPS: Final = ("mcast_snooping", "1", "mcast_querier", "1", "mcast_igmp_version", "3")
"""Of version 2 a host reports nothing that it hears another report; and in its first seconds, in which it sends all
to all, a bridge lets them hear that, and then knows of one of them alone. See RFC 2236, 3, and ip-link(8)."""
_CONGESTION: Final = ("cubic", "reno")
"""The first that there is. bbr, a kernel's default perhaps, starves some of many at one full link."""
_CONTROL: Final = "net.ipv4.tcp_congestion_control"


def demand_root() -> None:
    """Raises LabError."""
    if os.geteuid() != 0:
        raise LabError("only root may make network namespaces", hint="run it with sudo")


@contextmanager
def own_network() -> Iterator[None]:
    """For this thread, and for whatever it starts meanwhile. Raises LabError where there can be none."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNET):
            raise LabError(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}")
        try:
            run(["ip", "link", "set", "lo", "up"])
            yield
        finally:
            libc.setns(before, _CLONE_NEWNET)
    finally:
        os.close(before)


class Host:
    """``name`` is that of its namespace. Its cable ends at ``port`` of the switch."""

    def __init__(self, number: int) -> None:
        """``number`` from 1."""
        self.name = f"ogsim-{os.getpid()}-{number}"
        self.port = f"{_BRIDGE}{number}"
        self.address = f"{NET}.{number}"
        self.inside: Sequence[str] = ("ip", "netns", "exec", self.name)
        self.bound: Sequence[str] = (*self.inside, "setpriv", "--pdeathsig", "KILL", "--")
        """What is started so dies with the thread that has started it."""

    def pids(self) -> list[int]:
        return [int(word) for word in run(["ip", "netns", "pids", self.name])[0].split()]

    def set_speed(self, kbit: int) -> None:
        """In both directions."""
        shape = ["root", "tbf", "rate", f"{kbit}kbit", "burst", "64kb", "latency", "60ms"]
        run(["tc", "qdisc", "replace", "dev", self.port, *shape])
        run(["tc", "-n", self.name, "qdisc", "replace", "dev", "eth0", *shape])

    def lose(self, per_mille: int) -> None:
        """So many of the packets that come."""
        drop = f"numgen random mod 1000 < {per_mille} drop"
        rules = "add table ip lossy; add chain ip lossy come { type filter hook input priority 0; }; "
        run([*self.inside, "nft", rules + f"add rule ip lossy come iifname eth0 {drop}"])

    def pull(self) -> None:
        """Its cable. At either end the link is down; what is sent is lost."""
        run(["ip", "link", "set", self.port, "down"])

    def plug_in(self) -> None:
        run(["ip", "link", "set", self.port, "up"])

    def lose_power(self) -> None:
        """No last word of any process."""
        self.pull()
        self.kill_all()

    def kill_all(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def sent(self) -> int:
        """Bytes that have come from it to the switch, with their Ethernet headers."""
        return int(psutil.net_io_counters(pernic=True)[self.port].bytes_recv)


@contextmanager
def switch() -> Iterator[None]:
    """In this network. It looks who is in which group, and asks, as those of rooms do.

    Raises LabError where there can be none, or where its addresses are in use.
    """
    _demand_free()
    with ExitStack() as stack:
        with signals_held(), _refusing("no switch can be made here"):
            run(["ip", "link", "add", _BRIDGE, "type", "bridge", "forward_delay", "0", *_GROUPS])
            stack.callback(_undisturbed_run, ["ip", "link", "delete", _BRIDGE])
            run(["ip", "address", "add", f"{OWN}/24", "dev", _BRIDGE])
            run(["ip", "link", "set", _BRIDGE, "up"])
        yield


def _demand_free() -> None:
    own = ip_network(f"{NET}.0/24")
    for name, addresses in psutil.net_if_addrs().items():
        if name == _BRIDGE:
            hint = f"end the lab that is on it; if none runs: ip link delete {_BRIDGE}"
            raise LabError(f"there is an interface {_BRIDGE} already", hint=hint)
        for each in addresses:
            if each.family == socket.AF_INET and ip_interface(f"{each.address}/{each.netmask}").network.overlaps(own):
                error = f"{name} of this machine has {each.address}, and the switch needs {own} for itself"
                raise LabError(error, hint="another machine can have it, or a network namespace of its own")


def forget_groups(after_s: int) -> None:
    """As switches do that look who has joined a group and hear nobody ask again: this one believes what it was told
    for ``after_s``, and asks nobody in that time.
    """
    set_it = ["ip", "link", "set", _BRIDGE, "type", "bridge"]
    never = ["mcast_query_interval", "6000000", "mcast_startup_query_count", "1", "mcast_query_response_interval", "10"]
    run([*set_it, "mcast_snooping", "0", "mcast_querier", "0"])
    run([*set_it, *never, "mcast_membership_interval", str(after_s * 100)])
    run([*set_it, "mcast_snooping", "1", "mcast_querier", "1"])  # which begins with what is set by then


@contextmanager
def plugged(number: int, kbit: int) -> Iterator[Host]:
    """Whatever still runs there at the end of the block is killed. Raises LabError where there can be none."""
    host = Host(number)
    with ExitStack() as stack:
        with signals_held(), _refusing("no host can be put on a switch here"):
            _plug(host, kbit, stack)
        yield host


def _plug(host: Host, kbit: int, stack: ExitStack) -> None:
    run(["ip", "netns", "add", host.name])
    stack.callback(_undisturbed_run, ["ip", "netns", "delete", host.name])
    stack.callback(host.kill_all)
    run(["ip", "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.name])
    stack.callback(_undisturbed_run, ["ip", "link", "delete", host.port])  # with its namespace it goes a moment later
    run(["ip", "link", "set", host.port, "master", _BRIDGE, "up"])
    run(["ip", "-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0"])
    for device in ("lo", "eth0"):
        run(["ip", "-n", host.name, "link", "set", device, "up"])
    run(["ip", "-n", host.name, "route", "add", "224.0.0.0/4", "dev", "eth0"])
    host.set_speed(kbit)
    run([*host.inside, "sysctl", "-qw", f"{_CONTROL}={congestion_control()}"])


def _undisturbed_run(command: Sequence[str]) -> None:
    with undisturbed():
        run(command)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except ToolFailed as error:
        hint = "bridges and network namespaces are for the whole machine's root; a container may lack that"
        raise LabError(f"{what}: {error.message}", hint=hint) from None


def congestion_control() -> str:
    """What the hosts use; of what this kernel offers to namespaces, which may be less than what it has."""
    offered = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text(encoding="ascii").split()
    for each in _CONGESTION:
        if each in offered:
            return each
    raise LabError(f"this kernel offers {' and '.join(offered)} alone", hint="it needs cubic or reno")
