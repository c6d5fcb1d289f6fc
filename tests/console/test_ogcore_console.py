"""``ogsim ogcore --console``: for real machines, without a lab."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Shoot

pytestmark = pytest.mark.xdist_group("room")

CONSOLE = 8082
CLIENTS = '[{"name": "aula1-01", "mac": "08:00:27:0b:88:be", "ip": "127.0.9.9", "centre": "ETSII", "room": "Aula 1"}]'


def wait_for_port(port: int) -> None:
    for _ in range(6000):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    pytest.fail(f"nobody listens on port {port}")


@contextmanager
def ogcore(directory: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "simulator", "ogcore", "--tls", str(directory / "ca"), "--address", "127.0.9.1"]
    files = ["--clients", str(directory / "clients.json"), "--memory", str(directory / "memory")]
    with subprocess.Popen([*command, *files, "--console", str(CONSOLE)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(CONSOLE)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(300)


def test_a_page_survives_a_restart_of_the_console_itself(page: Page, tmp_path: Path, shoot: Shoot) -> None:
    (tmp_path / "clients.json").write_text(CLIENTS)
    with ogcore(tmp_path):
        page.goto(f"http://127.0.0.1:{CONSOLE}/")
        expect(page.get_by_text("aula1-01")).to_be_visible()
        expect(page.get_by_role("link", name="Faults")).to_have_count(0)
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    shoot(page, "lost")
    with ogcore(tmp_path):
        expect(page.get_by_text("Connection lost.")).to_be_hidden()
        expect(page.locator("#card-aula1-01")).to_contain_text("off")


def test_tabs_that_were_opened_behind_the_others_leave_a_connection_to_the_next(page: Page, tmp_path: Path) -> None:
    """A browser has six for a host."""
    (tmp_path / "clients.json").write_text(CLIENTS)
    address = f"http://127.0.0.1:{CONSOLE}/"
    with ogcore(tmp_path):
        for _ in range(6):
            tab = page.context.new_page()
            tab.add_init_script("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
            with tab.expect_request("**/live/"):
                tab.goto(address)
        page.goto(address)
        expect(page.locator("#card-aula1-01")).to_contain_text("off")
        with tab.expect_request("**/live/"):
            tab.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
