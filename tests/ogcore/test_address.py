"""The address that ogCore is told is one at which somebody listens."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from functools import partial

import psutil
import pytest

from ogagent.ogcore.address import LocalAddress, local_address

ANY4, ANY6 = "0.0.0.0", "::"


def test_the_address_is_the_one_that_reaches_ogcore() -> None:
    assert local_address("https://127.0.0.1:8443/x", ANY4).ip == "127.0.0.1"
    assert local_address("https://localhost", ANY4).ip == "127.0.0.1"
    assert local_address("https://127.0.2.1", "127.0.2.2") == LocalAddress("127.0.2.2", "")


def cards() -> list[tuple[str, str]]:
    """IPv4 address and MAC of each interface that has both."""
    found = []
    for entries in psutil.net_if_addrs().values():
        by_family = {entry.family: entry.address for entry in entries}
        if socket.AF_INET in by_family and psutil.AF_LINK in by_family:
            found.append((by_family[socket.AF_INET], by_family[psutil.AF_LINK]))
    return found


@pytest.mark.parametrize(("ip", "mac"), cards())
def test_the_mac_belongs_to_the_address(ip: str, mac: str) -> None:
    assert local_address(f"https://{ip}", ip) == LocalAddress(ip, mac)


async def test_no_way_to_ogcore() -> None:
    with pytest.raises(socket.gaierror):
        await asyncio.to_thread(local_address, "https://ogcore.invalid", ANY4)
    with pytest.raises(OSError, match="assign requested address"):
        local_address("https://127.0.0.1", "203.0.113.77")


async def test_it_is_asked_off_the_loop() -> None:
    find = partial(asyncio.to_thread, local_address, "https://127.0.0.1", ANY4)
    assert (await find()).ip == "127.0.0.1"


# --- IPv6, in a network of the test's own -------------------------------------------------------------------------

_ASK = """
import json, sys
from ogagent.ogcore.address import local_address
try:
    print(json.dumps(["told", local_address(*sys.argv[1:]).ip]))
except OSError as error:
    print(json.dumps(["error", str(error)]))
"""


def asked(url: str, listening: str, *addresses: str) -> tuple[str, str]:
    """On a machine with one card, which has ``addresses``."""
    script = ["ip link add card0 type veth", "ip link set lo up", "ip link set card0 up", "ip link set veth0 up"]
    script += [f"ip address add {address} dev card0 {'nodad' if ':' in address else ''}" for address in addresses]
    command = " && ".join([*script, 'exec "$@"'])
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", command, "sh", sys.executable, "-c", _ASK, url, listening],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kind, text = json.loads(done.stdout)
    return str(kind), str(text)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root")
OGCORE6, CARD6, CARD4 = "https://[fd00::1]", "fd00::2/64", "192.168.2.2/24"


@needs_root
@pytest.mark.parametrize(
    ("url", "listening", "told"),
    [
        (OGCORE6, ANY6, "fd00::2"),
        (OGCORE6, "fd00::2", "fd00::2"),
        (OGCORE6, ANY4, "192.168.2.2"),
        ("https://192.168.2.1", ANY6, "192.168.2.2"),
        ("https://192.168.2.1", ANY4, "192.168.2.2"),
    ],
)
def test_somebody_listens_there(url: str, listening: str, told: str) -> None:
    assert asked(url, listening, CARD6, CARD4) == ("told", told)


@needs_root
def test_where_nobody_would_listen_it_is_said_what_to_set() -> None:
    kind, text = asked(OGCORE6, ANY4, CARD6)
    assert (kind, "server.address" in text, "fd00::2" in text) == ("error", True, True)
