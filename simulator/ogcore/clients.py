"""The clients of a computer room, and what ogCore knows of each."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

AGENT_PORT: Final = 8000


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
    """``agent`` is None while nobody has said that he is there; the client is off then."""

    name: str
    mac: str
    ip: str
    port: int = AGENT_PORT
    centre: str = "Centro Demo"
    room: str = "Aula Demo"
    state: ClientState = ClientState.OFF
    agent: Started | None = None

    def started(self, agent: Started) -> None:
        self.agent = agent
        self.state = ClientState.INITIALIZING

    def stopped(self) -> None:
        self.agent = None
        self.state = ClientState.OFF

    def answered(self, status: str, *, logged_in: bool) -> None:
        """An answer that OpenGnsys does not know leaves the state as it is."""
        states = _STATES.get(status, (self.state, self.state))
        self.state = states[logged_in]

    def silent(self) -> None:
        self.state = ClientState.OFF

    def view(self) -> dict[str, object]:
        """For everybody: without the secret."""
        system = self.agent.osversion if self.agent else ""
        version = self.agent.agent_version if self.agent else ""
        place = {"name": self.name, "mac": self.mac, "ip": self.ip, "port": self.port}
        return {
            **place,
            "centre": self.centre,
            "room": self.room,
            "state": self.state,
            "system": system,
            "agent": version,
        }


class Clients:
    def __init__(self, clients: Iterable[Client]) -> None:
        self._clients = {client.name: client for client in clients}

    def all(self) -> list[Client]:
        return list(self._clients.values())

    def named(self, name: str) -> Client | None:
        return self._clients.get(name)

    def at(self, ip: str) -> Client | None:
        return next((client for client in self._clients.values() if client.ip == ip), None)


def demo_room() -> tuple[Client, ...]:
    """The two clients of OpenGnsys' demonstration, on loopback addresses modelled on 192.168.2.0/24."""
    return (
        Client(name="modelo", mac="08:00:27:4F:BE:38", ip="127.0.2.2"),
        Client(name="pc1", mac="08:00:27:0b:88:be", ip="127.0.2.3"),
    )
