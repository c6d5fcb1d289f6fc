"""A bridge, a cable for each PC, and a server of DHCP and TFTP, in the network namespace of the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tests.machine.tools import run

SERVER: Final = "10.77.0.1"
NETWORK: Final = "10.77.0.0/24"
BRIDGE: Final = "classroom"
SCRIPTS: Final = "/tftpboot/ipxe_scripts"
"""Where iPXE finds by HTTP what a PC is to do."""
IPXE: Final = Path("/usr/lib/ipxe/ipxe.efi")


class Lease(Struct, frozen=True):
    until: int
    mac: str
    address: str
    name: str
    client: str


class Network:
    def __init__(self, folder: Path) -> None:
        self._leases = folder / "leases"

    def leases(self) -> list[Lease]:
        rows = self._leases.read_text().splitlines() if self._leases.exists() else []
        return [Lease(int(until), *rest) for until, *rest in (row.split() for row in rows)]

    def address(self, mac: str) -> str:
        """The one that it was given last; empty when it was given none."""
        own = [lease for lease in self.leases() if lease.mac == mac]
        return max(own, key=lambda lease: lease.until).address if own else ""

    def cable(self, name: str) -> str:
        """Goes with the bridge's namespace at the latest."""
        run("ip", "tuntap", "add", name, "mode", "tap")
        run("ip", "link", "set", name, "master", BRIDGE, "up")
        return name


def is_own() -> bool:
    """Whether this process has a network of its own, with nothing up in it: nobody's bridge is ever touched."""
    return {link["ifname"] for link in _links() if "UP" in link["flags"]} <= {"lo"}


def _links() -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = json.loads(run("ip", "-json", "link"))
    return links


@asynccontextmanager
async def network(folder: Path, names: Mapping[str, str]) -> AsyncIterator[Network]:
    """``names`` by MAC. Whoever asks gets one of a hundred addresses, and the same one when it is known already: by its
    client identifier, as the standard wants it, and so by what the system believes that it is.
    """
    assert is_own()
    run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
    try:
        run("ip", "address", "add", f"{SERVER}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        run("ip", "route", "add", "224.0.0.0/4", "dev", BRIDGE)
        async with _dhcp(folder, names):
            yield Network(folder)
    finally:
        for link in _links():
            if link.get("master") == BRIDGE:
                run("ip", "link", "delete", link["ifname"])
        run("ip", "link", "delete", BRIDGE)


@asynccontextmanager
async def _dhcp(folder: Path, names: Mapping[str, str]) -> AsyncIterator[None]:
    words = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file=", "--no-ping"]
    words += [
        f"--interface={BRIDGE}",
        "--bind-interfaces",
        "--dhcp-authoritative",
        f"--dhcp-leasefile={folder}/leases",
    ]
    words += [
        "--dhcp-range=10.77.0.100,10.77.0.199,255.255.255.0,1h",
        "--log-dhcp",
        f"--log-facility={folder}/dhcp.log",
    ]
    words += [f"--dhcp-host={mac},{name}" for mac, name in names.items()]
    words += ["--enable-tftp", f"--tftp-root={IPXE.parent}", "--dhcp-userclass=set:ipxe,iPXE"]
    words += [
        f"--dhcp-boot=tag:!ipxe,{IPXE.name}",
        f"--dhcp-boot=tag:ipxe,http://{SERVER}{SCRIPTS}/01-${{mac:hexhyp}}",
    ]
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "dnsmasq", *words, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
