"""A lab, as a person starts it, and a browser that looks at it.

With CONSOLE_PICTURES=DIRECTORY every step of a story leaves a picture there, to be looked at. Those of the README, in
simulator/pictures, are some of them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

PORT = 8081
PATIENCE_MS = 120_000
CHROMIUM = shutil.which("chromium")

Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the console. At the end nothing of the lab may be left. A module may have a LAB of its own, the
    arguments of one.

    For a module and no longer, as the browser: its addresses are fixed, and Playwright keeps an event loop running.
    """
    scratch = tmp_path_factory.mktemp("lab")
    command = [sys.executable, "-m", "simulator", "lab", "--port", str(PORT), "--mbit", "60"]
    command += getattr(request.module, "LAB", [])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.search(r"http://\S+/", said)
            assert address, said
            yield address[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=300)
    assert process.returncode == 0
    assert list(scratch.iterdir()) == []
    assert [each for each in psutil.process_iter(["cmdline"]) if str(scratch) in str(each.info["cmdline"])] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Root in a container has no user namespaces for the browser's own sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """English. Who is asked whether he is sure says yes. Whatever goes wrong in the page, or is loaded from elsewhere,
    fails the test.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("dialog", Dialog.accept)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    page.on("request", lambda request: wrong.append(request.url) if "://127.0.0.1:" not in request.url else None)
    yield page
    if directory := os.environ.get("CONSOLE_PICTURES"):
        page.screenshot(path=Path(directory, "last.png"), full_page=True)
    context.close()
    assert wrong == []


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Shoot:
    directory = os.environ.get("CONSOLE_PICTURES")
    numbers = iter(range(1, 100))

    def save(page: Page, name: str) -> None:
        if directory:
            story = request.node.name.removeprefix("test_")[:40]
            page.screenshot(path=Path(directory, f"{story}-{next(numbers):02}-{name}.png"), full_page=True)

    return save


@pytest.fixture
def room(page: Page, lab: str) -> Page:
    """The page of all groups, every client in ogLive."""
    page.goto(lab)
    expect(page.get_by_role("listitem").filter(has_text="MAC")).to_have_count(6)
    for name in ("modelo", "pc1", "pc2", "pc3", "pc4", "pc5"):
        expect(page.locator(f"#card-{name}")).to_contain_text("og-live")
    return page
