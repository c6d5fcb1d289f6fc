"""What connects the hosts of a lab: this machine's loopback, with a cable for each of the PCs, or a switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.http_client import Place
from simulator.lab.cable import Cable, Relay, Way
from simulator.lab.hosts import LOOPBACK, OGCORE, REPOSITORY, Host, Site, Wiring
from simulator.machine.profile import MachineProfile
from simulator.ogcore.clients import demo_room
from simulator.processes import demand
from simulator.switch import MEGABIT, NET, OWN, TOOLS, demand_root, plugged, switch

_BEHIND_CABLE: Final = 8001
_FIRST_CABLE: Final = 9001
_OGCORE: Final = 1
_FIRST_CLIENT: Final = 2
_REPOSITORY: Final = 55
"""At the switch, as on loopback."""


class Network(Struct, frozen=True, kw_only=True):
    """``cables`` by the name of their client. ``relays`` are those that somebody has to lay."""

    site: Site
    hosts: Sequence[Host]
    cables: Mapping[str, Cable]
    relays: Sequence[Relay] = ()


@contextmanager
def on_loopback(directory: Path, machines: Sequence[MachineProfile], mbit: int) -> Iterator[Network]:
    """A client for each of the ``machines``, with a cable of ``mbit`` Mbit/s."""
    hosts = [
        Host(client, directory / client.name, machine, _wiring(client.ip, _FIRST_CABLE + number))
        for number, (client, machine) in enumerate(zip(demo_room(len(machines)), machines, strict=True))
    ]
    relays = {host.name: _relay(host, mbit * MEGABIT) for host in hosts}
    yield Network(site=LOOPBACK, hosts=hosts, cables=relays, relays=list(relays.values()))


@contextmanager
def on_switch(directory: Path, machines: Sequence[MachineProfile], mbit: int) -> Iterator[Network]:
    """The same; the servers have such cables, too. At the end of the block nothing of it is left.

    Raises LabError without root, or where there can be no switch.
    """
    demand_root()
    for tool in TOOLS:
        demand(tool)
    clients = demo_room(len(machines), NET)
    numbers = {"ogcore": _OGCORE, "repository": _REPOSITORY}
    numbers |= {client.name: number for number, client in enumerate(clients, start=_FIRST_CLIENT)}
    with switch(), ExitStack() as stack:
        ends = {name: stack.enter_context(plugged(number, mbit * MEGABIT)) for name, number in numbers.items()}
        site = Site(
            ogcore=Place(ends["ogcore"].address, OGCORE.port),
            repository=Place(ends["repository"].address, REPOSITORY.port),
            own=OWN,
            prefixes={name: end.bound for name, end in ends.items()},
        )
        hosts = []
        for client, machine in zip(clients, machines, strict=True):
            wiring = Wiring(agent=Place(client.ip, client.port), ogcore=site.ogcore, repository=site.repository)
            hosts.append(Host(client, directory / client.name, machine, wiring))
        yield Network(site=site, hosts=hosts, cables={host.name: ends[host.name] for host in hosts})


def _wiring(address: str, port: int) -> Wiring:
    """All that the client sends and receives goes through ports of its own: its cable."""
    return Wiring(
        agent=Place(address, _BEHIND_CABLE),
        ogcore=Place(OGCORE.address, port),
        repository=Place(REPOSITORY.address, port),
    )


def _relay(host: Host, kbit: int) -> Relay:
    wiring = host.wiring
    return Relay(
        (
            Way(entrance=host.place, exit=wiring.agent, inwards=True),
            Way(entrance=wiring.ogcore, exit=OGCORE, inwards=False),
            Way(entrance=wiring.repository, exit=REPOSITORY, inwards=False),
        ),
        kbit,
    )
