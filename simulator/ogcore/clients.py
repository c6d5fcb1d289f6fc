"""The clients of a computer room, and what ogCore knows of each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, field

from simulator.errors import LabError
from simulator.ogcore.inventories import Inventories
from simulator.ogcore.views import ClientView, InventoryView

AGENT_PORT: Final = 8000
_FRESH_FOR_S: Final = 3.0
_PEOPLE: Final = 100


class ClientState(StrEnum):
    OFF = "off"
    INITIALIZING = "initializing"
    OG_LIVE = "og-live"
    BUSY = "busy"
    LINUX = "linux"
    LINUX_SESSION = "linux-session"
    WINDOWS = "windows"
    WINDOWS_SESSION = "windows-session"
    MACOS = "macos"


# What an agent answers at /opengnsys/status, and the same with somebody logged in.
_STATES: Final = {
    "oglive": (ClientState.OG_LIVE, ClientState.OG_LIVE),
    "busy": (ClientState.BUSY, ClientState.BUSY),
    "linux": (ClientState.LINUX, ClientState.LINUX_SESSION),
    "windows": (ClientState.WINDOWS, ClientState.WINDOWS_SESSION),
    "macos": (ClientState.MACOS, ClientState.MACOS),
}


class Started(Struct, frozen=True):
    """What an agent says of itself at its start. ``fingerprint`` is the SHA-256 of its certificate, in hexadecimal."""

    ip: str
    secret: str
    fingerprint: str
    mac: str = ""
    ostype: str = ""
    osversion: str = ""
    agent_version: str = ""


class Client(Struct, kw_only=True):
    """``agent`` is None while nobody has said that he is there; the client is off then, or on its way.

    ``inventory`` is what its disks were when it was asked last, at ``asked_at`` of the monotonic clock; ``told`` what
    its agent has told of hardware and software; ``people`` who has logged in (True) and out, as it came.
    """

    name: str
    mac: str
    ip: str
    port: int = AGENT_PORT
    centre: str = "Centro Demo"
    room: str = "Aula Demo"
    state: ClientState = ClientState.OFF
    agent: Started | None = None
    inventory: InventoryView = InventoryView()
    asked_at: float = 0.0
    told: Inventories = field(default_factory=Inventories)
    people: deque[tuple[bool, str]] = field(default_factory=lambda: deque(maxlen=_PEOPLE))

    @property
    def inventory_is_fresh(self) -> bool:
        """Asking is work for the agent; it is not asked again while nothing is likely to be new."""
        return self.inventory.current and self.agent is not None and time.monotonic() < self.asked_at + _FRESH_FOR_S

    def saw_disks(self, inventory: InventoryView) -> None:
        self.inventory, self.asked_at = inventory, time.monotonic()

    def disks_changed(self) -> None:
        self.asked_at = -_FRESH_FOR_S

    def booting(self) -> None:
        """Switched on, or restarting: whoever was there is gone."""
        self.agent = None
        self.state = ClientState.INITIALIZING

    def started(self, agent: Started) -> None:
        """An agent says so again every so often: the one that is known has not started anew."""
        if self.agent is None or agent.secret != self.agent.secret:
            self.state = ClientState.INITIALIZING
        self.agent = agent
        self.disks_changed()

    def stopped(self) -> None:
        self.agent = None
        self.state = ClientState.OFF

    def answered(self, status: str, *, logged_in: bool) -> None:
        """An answer that OpenGnsys does not know leaves the state as it is."""
        states = _STATES.get(status, (self.state, self.state))
        self.state = states[logged_in]

    def silent(self) -> None:
        self.state = ClientState.OFF

    def view(self) -> ClientView:
        return ClientView(
            name=self.name,
            mac=self.mac,
            ip=self.ip,
            port=self.port,
            centre=self.centre,
            room=self.room,
            state=self.state,
            system=self.agent.osversion if self.agent else "",
            agent=self.agent.agent_version if self.agent else "",
        )


class ClientPlace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One client in a file of clients."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,63}$")]
    ip: str
    mac: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = AGENT_PORT
    centre: str = "Centro Demo"
    room: str = "Aula Demo"

    def client(self) -> Client:
        return Client(name=self.name, mac=self.mac, ip=self.ip, port=self.port, centre=self.centre, room=self.room)


class Clients:
    def __init__(self, clients: Iterable[Client]) -> None:
        self._clients = {client.name: client for client in clients}

    def all(self) -> list[Client]:
        return list(self._clients.values())

    def named(self, name: str) -> Client | None:
        return self._clients.get(name)

    def at(self, ip: str) -> Client | None:
        return next((client for client in self._clients.values() if client.ip == ip), None)


def read_clients(path: Path) -> tuple[Client, ...]:
    """From a JSON file: a list of objects with ``name``, ``mac``, ``ip``, and more if need be. Raises LabError."""
    try:
        places = msgspec.json.decode(path.read_bytes(), type=list[ClientPlace])
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = 'it is written like this: [{"name": "pc1", "mac": "08:00:27:0b:88:be", "ip": "192.168.2.3"}]'
        raise LabError(f"{path} is no list of clients: {error}", hint=hint) from None
    for what in ("name", "ip"):
        if len({getattr(place, what) for place in places}) < len(places):
            raise LabError(f"{path}: two clients have the same {what}")
    return tuple(place.client() for place in places)


def demo_room(count: int = 2, net: str = "127.0.2") -> tuple[Client, ...]:
    """OpenGnsys' demonstration: ``modelo``, ``pc1``, and more, from 2 on in ``net``, of loopback addresses that are
    modelled on 192.168.2.0/24.
    """
    named = [("modelo", "08:00:27:4F:BE:38"), ("pc1", "08:00:27:0b:88:be")]
    more = [(f"pc{number}", f"08:00:27:0b:88:{0xBE + number - 1:02x}") for number in range(2, count)]
    return tuple(
        Client(name=name, mac=mac, ip=f"{net}.{number}")
        for number, (name, mac) in enumerate((named + more)[:count], start=2)
    )
