"""``ogsim lab --switch`` where there can be no switch, and that nothing of one is left, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from simulator.processes import run
from tests.simulator.test_lab import PORT, lab, left_behind

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root"),
    pytest.mark.xdist_group("room"),
]

PATIENCE_S: Final = 300


@contextmanager
def another(address: str) -> Iterator[None]:
    run(["ip", "link", "add", "another", "type", "bridge"])
    try:
        run(["ip", "address", "add", address, "dev", "another"])
        yield
    finally:
        run(["ip", "link", "delete", "another"])


@pytest.mark.parametrize("address", ["10.80.0.7/24", "10.80.3.7/16"])
def test_an_address_of_its_net_that_is_in_use(tmp_path: Path, address: str) -> None:
    with another(address):
        said = refused(tmp_path)
    assert f"another of this machine has {address.partition('/')[0]}, and the switch needs 10.80.0.0/24" in said


def test_without_root(tmp_path: Path) -> None:
    said = refused(tmp_path, started=lambda command: ["unshare", "--user", "--", *command])
    assert said == "ogsim: only root may make network namespaces (run it with sudo)\n"


@pytest.mark.parametrize(("right", "what"), [("net_admin", "no switch can be"), ("sys_admin", "no host can be put on")])
def test_without_the_rights_of_the_whole_machines_root(tmp_path: Path, right: str, what: str) -> None:
    """As in many containers."""
    bounded = ["setpriv", "--bounding-set", f"-{right}", "--"]
    assert what in refused(tmp_path, started=lambda command: [*bounded, *command])


@pytest.mark.parametrize(("number", "lines"), [(signal.SIGTERM, 0), (signal.SIGINT, 1), (signal.SIGHUP, 3)])
def test_whenever_it_is_ended_nothing_is_left(tmp_path: Path, number: signal.Signals, lines: int) -> None:
    with lab(tmp_path, "--switch") as process:
        assert process.stdout is not None
        wait(lambda: left_of(process.pid) != [])
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(number)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode in ({0} if lines else {0, 130}), err) == (True, "")  # it may have begun to serve
    assert (left_behind(tmp_path), left_of(process.pid)) == ([], [])


def test_what_it_cannot_do_leaves_nothing(tmp_path: Path) -> None:
    assert "faults are of: ogcore, repository, modelo, pc1" in refused(tmp_path, "--fault", "pc9:cable")


# --------------------------------------------------------------------------------------------------------------------


def refused(scratch: Path, *arguments: str, started: Callable[[list[str]], list[str]] = list) -> str:
    """What it says, in one line."""
    before = left_of()
    with lab(scratch, "--switch", "--port", str(PORT + 1), *arguments, started=started) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1
    assert (left_behind(scratch), left_of(process.pid)) == ([], before)
    return str(err)


def left_of(pid: int | None = None) -> list[str]:
    """Namespaces of that lab, or of any whose switch is in this network, and the switch."""
    cards = sorted(name for name in psutil.net_if_addrs() if name.startswith("ogsim"))
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    return [*cards, *sorted(name for name in spaces if pid and name.startswith(f"ogsim-{pid}-"))]


def wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)
