"""The hosts of a room: where each is, and the files of a client."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from simulator.faults import FaultFile
from simulator.http_client import Place
from simulator.machine.profile import MachineProfile, known_profile
from simulator.ogcore.clients import Client, demo_room

OGCORE: Final = Place("127.0.2.1", 8443)
REPOSITORY: Final = Place("127.0.68.55", 8443)
CLIENTS: Final = {client.name: Place(client.ip, client.port) for client in demo_room()}
MOST_CLIENTS: Final = 40

KEYBOARD: Final = 8002
"""Port of each client, once it has booted from its disk, for who sits at it."""


class Site(Struct, frozen=True, kw_only=True):
    """Where the servers of a room are. Elsewhere than on loopback, ``prefixes`` has, by the name of a host, what is put
    before its command so that it runs there, and ``own`` is the address of whoever starts it.
    """

    ogcore: Place = OGCORE
    repository: Place = REPOSITORY
    own: str = ""
    prefixes: Mapping[str, Sequence[str]] = field(default_factory=dict)


LOOPBACK: Final = Site()


class Wiring(Struct, frozen=True, kw_only=True):
    """Where a client listens, and how it reaches the others: itself, or through a cable that can be pulled."""

    agent: Place
    ogcore: Place = OGCORE
    repository: Place = REPOSITORY


class Host:
    """A client. ``place`` is where others find it; ``authorization`` holds the header for curl."""

    def __init__(self, client: Client, directory: Path, profile: MachineProfile, wiring: Wiring | None = None) -> None:
        self.name = client.name
        self.mac = client.mac
        self.place = Place(client.ip, client.port)
        self.profile = profile
        self.wiring = wiring or Wiring(agent=self.place)
        self.directory = directory
        self.disks = [directory / f"disk{number}.raw" for number, _ in enumerate(profile.disks, start=1)]
        self.config = directory / "agent.toml"
        self.profile_file = directory / "profile.json"
        self.nvram = directory / "nvram"
        self.secret = directory / "secret"
        self.authorization = directory / "authorization"
        self.faults_file = directory / "faults"
        self.faults = FaultFile(self.faults_file)

    @property
    def keyboard(self) -> Place:
        return Place(self.wiring.agent.address, KEYBOARD)

    @property
    def target(self) -> tuple[int, int]:
        """The disk and the partition that an image is meant for, and that boots."""
        return self.profile.target

    def row(self) -> dict[str, object]:
        """For ogCore's file of clients."""
        return {"name": self.name, "mac": self.mac, "ip": self.place.address, "port": self.place.port}

    def write_configuration(self, ca: Path, token: Path) -> None:
        """``token`` holds what the repository wants to see of whoever writes to it."""
        secret = secrets.token_urlsafe()
        for path, text in ((self.secret, f"{secret}\n"), (self.authorization, f"Authorization: {secret}\n")):
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
        wiring = self.wiring
        sections: dict[str, dict[str, Any]] = {
            "server": {"address": wiring.agent.address, "port": wiring.agent.port},
            "access": {"secret_file": str(self.secret)},
            "ogcore": {"url": wiring.ogcore.url, "ca": str(ca)},
            "repository": {
                "url": f"https://{{ipr}}:{wiring.repository.port}/ogrepository/images/{{nci}}.img",
                "ca": str(ca),
            },
            "capture": {"credential_file": str(token)},
            # Their firmware is played: it starts what lies on a partition, whoever has put a boot loader beside it.
            "finish": {"boot": False, "hostname": self.name},
            "state": {"dir": str(self.directory / "state")},
        }
        lines = []
        for section, members in sections.items():
            lines += [f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in members.items()), ""]
        self.config.write_text("\n".join(lines), encoding="utf-8")


def demo_hosts(directory: Path) -> list[Host]:
    """The two PCs of the demonstration, wired directly."""
    return [Host(client, directory / client.name, known_profile("classroom")) for client in demo_room()]


def _toml(value: str | int) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
