"""The package is upgraded, or removed, while an agent works: nothing that runs is ended by it."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from ogagent.cli import RETIRED
from tests.machine.network import is_own
from tests.package.system import System

pytestmark = pytest.mark.xdist_group("packaged agent")

ADDRESS: Final = "127.0.9.9"
PATIENCE_S: Final = 300.0
SCRIPT: Final = "while [ ! -e /root/go ]; do sleep 0.05; done; echo done"
SETTINGS: Final = f"""
[server]
address = "{ADDRESS}"
[access]
mode = "address"
allow = ["127.0.0.0/8"]
[machine]
kind = "oglive"
"""


def ask(method: str, path: str, **body: str) -> tuple[int, Any]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with closing(http.client.HTTPSConnection(ADDRESS, 8000, context=context, timeout=PATIENCE_S)) as connection:
        connection.request(method, path, json.dumps(body) if body else None)
        with connection.getresponse() as answer:
            return answer.status, json.loads(answer.read())


@contextmanager
def agent(debian: System) -> Iterator[subprocess.Popen[bytes]]:
    """As its unit starts it."""
    command = ["/opt/ogagent/venv/bin/ogagent", "serve", "--config", "/etc/ogagent/ogagent.toml"]
    with Path(debian.root, "root/agent.log").open("ab") as log:
        process = subprocess.Popen(["chroot", str(debian.root), *command], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError):
                if ask("GET", "/healthz")[0] == 200:
                    break
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def said_until(dpkg: subprocess.Popen[str], words: str) -> str:
    assert dpkg.stdout is not None
    said = ""
    for line in dpkg.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


@pytest.mark.parametrize("suite", ["bookworm"], indirect=True)
@pytest.mark.skipif(not is_own(), reason="there is no network namespace to be had")
def test_an_upgrade_waits_for_the_job_that_runs(debian: System, deb: Path, next_deb: Path) -> None:
    debian.install(deb)
    (debian.root / "etc/ogagent/ogagent.toml").write_text(SETTINGS, "utf-8")
    new = debian.bring(next_deb)
    with agent(debian) as first:
        status, accepted = ask("POST", "/CloningEngine/EjecutarScript", scp=SCRIPT)
        assert status == 200
        job = f"/jobs/{accepted['job_id']}"
        upgrade = ["chroot", str(debian.root), "dpkg", "--install", new]
        with ExitStack() as stack:
            dpkg = stack.enter_context(subprocess.Popen(upgrade, text=True, stdout=subprocess.PIPE))
            stack.callback((debian.root / "root/go").touch)  # whatever fails here, nobody waits for it
            said_until(dpkg, "takes no new job, and ends with its last: waiting up to 600 s")
            assert ask("GET", job)[1]["state"] == "running"
            assert ask("POST", "/CloningEngine/EjecutarScript", scp="true")[1]["code"] == "stopping"
            assert first.poll() is None
            (debian.root / "root/go").touch()
            assert dpkg.wait(PATIENCE_S) == 0
        assert first.wait(PATIENCE_S) == RETIRED
    environments = list((debian.root / "opt/ogagent").glob("venv-*"))
    assert len(environments) == 2, "the agent that worked has kept its own"
    with agent(debian):  # as systemd does, after that status
        assert ask("GET", job)[1]["state"] == "succeeded"
        assert debian.run("ogagent", "retire", "--wait", f"{PATIENCE_S}") == ""
        debian.install(next_deb)
    left = [path.name for path in (debian.root / "opt/ogagent").glob("venv-*")]
    assert left == [str((debian.root / "opt/ogagent/venv").readlink())]
    assert "Traceback" not in (debian.root / "root/agent.log").read_text("utf-8")
