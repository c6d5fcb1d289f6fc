"""``ogsim lab`` as a person runs it; its pages are looked at in tests/console."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.http_client import Server
from simulator.lab.hosts import OGCORE, REPOSITORY
from simulator.processes import run
from simulator.sample import IMAGE_NAME
from tests.strange import strangely

pytestmark = pytest.mark.xdist_group("room")

Start = Callable[[list[str]], list[str]]
PORT = 8083


@contextmanager
def lab(scratch: Path, *arguments: str, started: Start = list) -> Iterator[subprocess.Popen[str]]:
    command = started([sys.executable, "-m", "simulator", "lab", "--clients", "2", "--port", str(PORT), *arguments])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def left_behind(scratch: Path) -> list[object]:
    processes = [each for each in psutil.process_iter(["cmdline"]) if str(scratch) in str(each.info["cmdline"])]
    return [*processes, *scratch.iterdir()]


@pytest.mark.parametrize(
    ("number", "lines", "started"),
    [
        (signal.SIGINT, 1, list),
        (signal.SIGINT, 3, list),
        (signal.SIGTERM, 1, list),
        (signal.SIGTERM, 3, list),
        (signal.SIGHUP, 1, list),
        (signal.SIGHUP, 3, list),
        (signal.SIGINT, 3, strangely),
    ],
)
def test_it_ends_in_order_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, lines: int, started: Start
) -> None:
    with lab(tmp_path, "--fault", "pc1:link=5", started=started) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(lines))
        assert f"http://127.0.0.1:{PORT}/" in said
        assert lines == 1 or "2 clients" in said
        process.send_signal(number)
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "pc9:cable"], "faults are of: ogcore, repository, modelo, pc1"),
        (["--fault", "pc1:link=fast"], "link=2"),
        (["--fault", "ogcore:flip"], "ogcore has: stopped"),
        (["--fault", "pc1:melt"], "disk has no fault 'melt'"),
        (["--profile", "absent.json"], "absent.json cannot be read"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    with lab(tmp_path, *arguments) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert said in err
    assert len(err.splitlines()) == 1
    assert left_behind(tmp_path) == []


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", PORT)), lab(tmp_path) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"port {PORT}" in err
    assert left_behind(tmp_path) == []


def test_a_server_that_dies_ends_the_lab_and_leaves_its_logs(tmp_path: Path) -> None:
    with lab(tmp_path) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        (ogcore,) = [each for each in psutil.process_iter(["cmdline"]) if is_ogcore(each, tmp_path)]
        ogcore.kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "ogcore ended with status -9" in err
    (logs,) = tmp_path.iterdir()
    assert str(logs) in err
    assert (logs / "pc1.log").exists()


def is_ogcore(process: psutil.Process, scratch: Path) -> bool:
    line = process.info["cmdline"] or []
    return "ogcore" in line and str(scratch) in str(line)


def test_its_repository_brings_an_image_to_many(tmp_path: Path) -> None:
    """p2p, that is: all hosts of a lab share one network, in which only one could receive multicast."""
    with lab(tmp_path) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        (room,) = tmp_path.iterdir()
        tls = Authority(room / "ca").client_context()
        ogcore = Server(OGCORE, tls)
        while any(client["state"] != "og-live" for client in ogcore.get("/clients")["clients"]):
            time.sleep(0.05)
        order = {"clients": ["modelo", "pc1"], "image": IMAGE_NAME, "disk": 1, "partition": 2, "method": "multicast"}
        with pytest.raises(LabError, match="only one client of this machine can receive multicast, not 2"):
            ogcore.post("/deploy", order)
        assert ogcore.get("/traces") == {"traces": []}
        began = begin(tls, {"image": IMAGE_NAME}, (room / "repository.token").read_text())
        assert began["method"] == "p2p peer:60"
        for client in ("127.0.2.2", "127.0.2.3"):
            target = room / client
            torrent = room / "images" / f"{IMAGE_NAME}.img.torrent"
            run(["aria2c", "--seed-time=0", f"--interface={client}", "-d", target, torrent], timeout_s=300)
            image = f"{IMAGE_NAME}.img"
            assert (target / image).read_bytes() == (room / "images" / image).read_bytes()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert left_behind(tmp_path) == []


def begin(tls: ssl.SSLContext, members: dict[str, str], token: str) -> dict[str, Any]:
    connection = http.client.HTTPSConnection(REPOSITORY.address, REPOSITORY.port, timeout=300, context=tls)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("POST", "/ogrepository/v1/p2p", json.dumps(members), headers)
    with closing(connection), connection.getresponse() as response:
        assert response.status == 201
        found: dict[str, Any] = json.loads(response.read())
        return found
