"""``ogsim lab --switch``: multicast reaches all PCs, and a pulled cable cuts a PC off from its peers, too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import pytest

from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.http_client import Place, Server
from simulator.processes import run
from tests.simulator.test_lab import PORT, lab, left_behind
from tests.simulator.test_lab_switch_ends import PATIENCE_S, left_of, refused, wait

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root"),
    pytest.mark.xdist_group("room"),
]

CLIENTS: Final = ["modelo", "pc1", "pc2", "pc3", "pc4", "pc5"]
VICTIM: Final = "pc3"
OGCORE: Final = Place("10.80.0.1", 8443)
REPOSITORY_PORT: Final = "ogsim55"
INDEXED: Final = "image-indexed"
AGAIN: Final = "image-again"
PLAIN: Final = "image-test"
WHOLE: Final = ("image-whole-1", "image-whole-2")
"""The same under other names: the CACHE does not know them."""
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


class Switched(NamedTuple):
    pid: int
    ogcore: Server


@pytest.fixture(scope="module")
def switched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switched]:
    scratch = tmp_path_factory.mktemp("switched")
    profile = tmp_path_factory.mktemp("profile") / "pc.json"
    profile.write_text(json.dumps(PROFILE))
    with lab(scratch, "--switch", "--clients", "6", "--mbit", "20", "--profile", str(profile)) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        (room,) = scratch.iterdir()
        ogcore = Server(OGCORE, Authority(room / "ca").client_context())
        wait(lambda: all(client["state"] == "og-live" for client in ogcore.get("/clients")["clients"]))
        name_again(room / "images")
        yield Switched(process.pid, ogcore)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    assert (left_behind(scratch), left_of(process.pid)) == ([], [])


def test_p2p_and_a_cable_that_is_pulled(switched: Switched) -> None:
    """The others do not need the one that is cut off; plugged in again, it goes on by itself."""
    ogcore = switched.ogcore
    press("inject", f"{VICTIM}:link=2")  # it has not got all of it before anybody comes to pull
    traces = deploy(ogcore, INDEXED, 1, "p2p")
    size = 0
    before = sent()

    def begun() -> bool:
        nonlocal size
        if not (reports := traces[VICTIM]()["reports"]):
            return False
        counts = reports[-1]["bytes"]
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


@pytest.mark.parametrize(("method", "image"), [("uftp", AGAIN), ("multicast", PLAIN), ("uftp", WHOLE[0])])
def test_multicast_reaches_all(switched: Switched, method: str, image: str) -> None:
    """Images without an index come last: what a partition holds already is not asked for."""
    ogcore = switched.ogcore
    traces = deploy(ogcore, image, 2, method, speed=16)
    wait(lambda: all(ended(trace()) and trace()["sources"] for trace in traces.values()))
    found = [trace() for trace in traces.values()]
    for trace in found:
        assert (trace["state"], trace["violations"], trace["sources"]["peers"]) == ("success", [], 0)
        assert trace["sources"]["multicast"] or trace["left"], trace  # a busy machine may make one leave
    assert not all(trace["left"] for trace in found)


def test_an_image_without_an_index_comes_from_peers_as_a_whole(switched: Switched) -> None:
    traces = deploy(switched.ogcore, WHOLE[1], 2, "p2p")
    wait(lambda: all(ended(trace()) and trace()["sources"] for trace in traces.values()))
    for trace in (trace() for trace in traces.values()):
        assert (trace["state"], trace["violations"], trace["sources"]["cache"]) == ("success", [], 0)
        assert trace["sources"]["peers"] > trace["sources"]["repository"]


def test_another_one_is_refused_and_the_first_stays(switched: Switched, tmp_path: Path) -> None:
    assert "there is an interface ogsim already (end the lab" in refused(tmp_path)
    assert all(client["state"] == "og-live" for client in switched.ogcore.get("/clients")["clients"])


def test_the_lab_alone_says_who_boots(switched: Switched) -> None:
    """Before there is an agent nobody can prove it."""
    path, nobody = "/opengnsys/rest/ogagent/booting", {"ip": "10.80.0.99"}
    with pytest.raises(LabError, match="no client has this address"):
        switched.ogcore.post(path, nobody)
    inside = ["ip", "netns", "exec", f"ogsim-{switched.pid}-2"]
    call = ["curl", "-sk", "-w", "%{http_code}", "-d", json.dumps(nobody), OGCORE.url + path]
    assert run([*inside, *call])[0].endswith("403")


# ------------------------------------------------------------------------------------------------------------------


def deploy(ogcore: Server, image: str, partition: int, method: str, **session: int) -> dict[str, Callable[[], Any]]:
    """By client, how to look at its trace."""
    order = {"clients": CLIENTS, "image": image, "disk": 1, "partition": partition, "method": method}
    known = {trace["id"] for trace in ogcore.get("/traces")["traces"]}
    ogcore.post("/deploy", {**order, "session": session})
    begun = [trace for trace in ogcore.get("/traces")["traces"] if trace["id"] not in known]
    assert sorted(trace["client"] for trace in begun) == sorted(CLIENTS)
    return {trace["client"]: partial(ogcore.get, f"/traces/{trace['id']}") for trace in begun}


def name_again(images: Path) -> None:
    """An index knows the name of its image."""
    for old, new in ((INDEXED, AGAIN), (PLAIN, WHOLE[0]), (PLAIN, WHOLE[1])):
        for suffix in ("", ".info", ".full.sum"):
            shutil.copyfile(images / f"{old}.img{suffix}", images / f"{new}.img{suffix}")
    run([sys.executable, "-m", "ogagent", "image", "index", images / f"{AGAIN}.img"])


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
