"""``ogsim lab --switch``: multicast reaches all PCs, and a pulled cable cuts a PC off from its peers, too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from simulator.certificates import Authority
from simulator.http_client import Place, Server
from simulator.processes import run
from tests.simulator.test_lab import PORT, lab, left_behind

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root"),
    pytest.mark.xdist_group("room"),
]

PATIENCE_S: Final = 300
CLIENTS: Final = ["modelo", "pc1", "pc2", "pc3", "pc4", "pc5"]
VICTIM: Final = "pc3"
OGCORE: Final = Place("10.80.0.1", 8443)
REPOSITORY_PORT: Final = "ogsim55"
INDEXED: Final = "image-indexed"
AGAIN: Final = "image-again"
"""The same under another name: the CACHE does not know it."""
PROFILE: Final = {
    "reason": "Two partitions that take the image, and a CACHE for two of them.",
    "target": [1, 1],
    "disks": [
        {
            "model": "SATA SSD",
            "size_mib": 514,
            "table": "gpt",
            "partitions": [
                {"number": 1, "start_mib": 1, "size_mib": 128, "kind": "linux", "name": "one"},
                {"number": 2, "start_mib": 129, "size_mib": 128, "kind": "linux", "name": "two"},
                {"number": 3, "start_mib": 257, "size_mib": 256, "kind": "cache", "name": "CACHE", "label": "CACHE"},
            ],
        }
    ],
}

Switched = tuple[Path, Server]
"""Where its files lie, and its ogCore."""


@pytest.fixture(scope="module")
def switched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switched]:
    scratch = tmp_path_factory.mktemp("switched")
    profile = tmp_path_factory.mktemp("profile") / "pc.json"
    profile.write_text(json.dumps(PROFILE))
    slow = ("--fault", f"{VICTIM}:link=2")
    with lab(scratch, "--switch", "--clients", "6", "--mbit", "20", "--profile", str(profile), *slow) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        (room,) = scratch.iterdir()
        ogcore = Server(OGCORE, Authority(room / "ca").client_context())
        wait(lambda: all(client["state"] == "og-live" for client in ogcore.get("/clients")["clients"]))
        yield room, ogcore
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    assert (left_behind(scratch), left_of(process.pid)) == ([], [])


def test_p2p_and_a_cable_that_is_pulled(switched: Switched) -> None:
    """The others do not need the one that is cut off; plugged in again, it goes on by itself."""
    _, ogcore = switched
    traces = deploy(ogcore, INDEXED, 1, "p2p")
    size = 0
    before = sent()

    def begun() -> bool:
        nonlocal size
        counts = traces[VICTIM]()["reports"][-1]["bytes"]
        size = counts["image"] or 0
        return bool(counts["written"])

    wait(begun)
    press("inject", f"{VICTIM}:cable")
    assert [traces[VICTIM]()[member] for member in ("state", "phase")] == ["in-progress", "fetching"]
    others = [name for name in CLIENTS if name != VICTIM]
    wait(lambda: all(ended(traces[name]()) for name in others))
    assert sent() - before < 5 * size  # so they have it from each other
    wait(lambda: ogcore.get(f"/clients/{VICTIM}")["state"] == "off")
    assert not ended(traces[VICTIM]())

    press("heal", f"{VICTIM}:cable")
    press("heal", f"{VICTIM}:link=2")
    wait(lambda: all(ended(trace()) and trace()["sources"] for trace in traces.values()))
    for trace in (trace() for trace in traces.values()):
        assert (trace["state"], trace["violations"]) == ("success", [])
        assert trace["sources"]["peers"] > 0
        assert 0 < trace["sources"]["repository"] < size
        assert trace["sources"]["peers"] + trace["sources"]["repository"] <= size


@pytest.mark.parametrize(("method", "image"), [("multicast", "image-test"), ("uftp", AGAIN)])
def test_multicast_reaches_all(switched: Switched, method: str, image: str) -> None:
    room, ogcore = switched
    for path in (room / "images").glob(f"{INDEXED}.img*"):
        shutil.copyfile(path, path.with_name(path.name.replace(INDEXED, AGAIN)))
    traces = deploy(ogcore, image, 2, method, speed=16)
    wait(lambda: all(ended(trace()) and trace()["sources"] for trace in traces.values()))
    for trace in (trace() for trace in traces.values()):
        assert (trace["state"], trace["violations"]) == ("success", [])
        assert trace["sources"]["multicast"] > 0
        assert trace["sources"]["peers"] == 0


def test_another_one_is_refused_and_the_first_stays(switched: Switched, tmp_path: Path) -> None:
    _, ogcore = switched
    assert "there is an interface ogsim already (end the lab" in refused(tmp_path)
    assert all(client["state"] == "og-live" for client in ogcore.get("/clients")["clients"])


# --- refusals, and its end ----------------------------------------------------------------------------------------


@pytest.fixture
def alone() -> None:
    """With no other lab."""
    assert left_of() == []


@contextmanager
def another(*address: str) -> Iterator[None]:
    run(["ip", "link", "add", "another", "type", "dummy"])
    try:
        run(["ip", "address", "add", *address, "dev", "another"])
        yield
    finally:
        run(["ip", "link", "delete", "another"])


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("address", ["10.80.0.7/24", "10.80.3.7/16"])
def test_an_address_of_its_net_that_is_in_use(tmp_path: Path, address: str) -> None:
    with another(address):
        said = refused(tmp_path)
    assert f"another of this machine has {address.partition('/')[0]}, and the switch needs 10.80.0.0/24" in said


@pytest.mark.usefixtures("alone")
def test_without_root(tmp_path: Path) -> None:
    said = refused(tmp_path, started=lambda command: ["unshare", "--user", "--", *command])
    assert said == "ogsim: only root may make network namespaces (run it with sudo)\n"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("right", "what"), [("net_admin", "no switch can be made"), ("sys_admin", "no host can be put")]
)
def test_without_the_rights_of_the_whole_machines_root(tmp_path: Path, right: str, what: str) -> None:
    """As in many containers."""
    bounded = ["setpriv", "--bounding-set", f"-{right}", "--"]
    assert what in refused(tmp_path, started=lambda command: [*bounded, *command])


@pytest.mark.usefixtures("alone")
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
    assert (process.returncode, err) == (0 if lines else 130, "")
    assert (left_behind(tmp_path), left_of(process.pid)) == ([], [])


@pytest.mark.usefixtures("alone")
def test_what_it_cannot_do_leaves_nothing(tmp_path: Path) -> None:
    assert "faults are of: ogcore, repository, modelo, pc1" in refused(tmp_path, "--fault", "pc9:cable")


# ------------------------------------------------------------------------------------------------------------------


def refused(scratch: Path, *arguments: str, started: Callable[[list[str]], list[str]] = list) -> str:
    """What it says, in one line."""
    before = left_of()
    with lab(scratch, "--switch", "--port", str(PORT + 1), *arguments, started=started) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1
    assert (left_behind(scratch), left_of()) == ([], before)
    return str(err)


def left_of(pid: int | None = None) -> list[str]:
    """Namespaces of that lab, or of any whose switch is in this network, and the switch."""
    cards = sorted(name for name in psutil.net_if_addrs() if name.startswith("ogsim"))
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    return [*cards, *sorted(name for name in spaces if pid and name.startswith(f"ogsim-{pid}-"))]


def deploy(ogcore: Server, image: str, partition: int, method: str, **session: int) -> dict[str, Callable[[], Any]]:
    """By client, how to look at its trace."""
    order = {"clients": CLIENTS, "image": image, "disk": 1, "partition": partition, "method": method}
    known = {trace["id"] for trace in ogcore.get("/traces")["traces"]}
    ogcore.post("/deploy", {**order, "session": session})
    begun = [trace for trace in ogcore.get("/traces")["traces"] if trace["id"] not in known]
    assert sorted(trace["client"] for trace in begun) == sorted(CLIENTS)
    return {trace["client"]: (lambda number=trace["id"]: ogcore.get(f"/traces/{number}")) for trace in begun}


def ended(trace: dict[str, Any]) -> bool:
    return trace["state"] not in {"pending", "in-progress"}


def sent() -> int:
    """Bytes that have come from the repository."""
    return int(psutil.net_io_counters(pernic=True)[REPOSITORY_PORT].bytes_recv)


def press(button: str, fault: str) -> None:
    """At the console."""
    console = f"http://127.0.0.1:{PORT}"
    form = urllib.parse.urlencode({"fault": fault}).encode()
    request = urllib.request.Request(f"{console}/faults/{button}", form, {"Origin": console})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200


def wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)
