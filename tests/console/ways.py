"""What a person does in the console, by what can be read there."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Locator, Page, expect

from simulator.lab.hosts import OGCORE


def card(page: Page, client: str) -> Locator:
    return page.locator(f"#card-{client}")


def state(page: Page) -> Locator:
    """Of the client or the trace whose page is open."""
    return page.locator(".title .state, .title .result")


def open_client(page: Page, lab: str, client: str) -> None:
    page.goto(f"{lab}clients/{client}")
    expect(page.get_by_role("heading", name=client, exact=True)).to_be_visible()


def press(page: Page, name: str) -> None:
    page.get_by_role("main").get_by_role("button", name=name, exact=True).click()


def deploy(page: Page, lab: str, client: str, place: str = "") -> None:
    """Up to the green confirmation. Of ``image-test``, which is fetched from beginning to end, as it has no index."""
    page.goto(f"{lab}deploy?client={client}")
    page.get_by_label("Image", exact=True).select_option("image-test")
    if place:
        page.get_by_label("Partition").select_option(place)
    press(page, "Deploy image")
    expect(page.get_by_text("The order was accepted.")).to_be_visible()


def open_trace(page: Page) -> None:
    page.locator("#outcome").get_by_role("link").click()
    expect(page.get_by_role("heading", name="The order")).to_be_visible()


def break_it(page: Page, lab: str, fault: str) -> None:
    page.goto(f"{lab}faults")
    page.get_by_label("WHERE:WHAT").fill(fault)
    press(page, "Break it")
    expect(page.locator("#live").get_by_text(fault)).to_be_visible()


def put_right(page: Page, lab: str, fault: str) -> None:
    page.goto(f"{lab}faults")
    press(page, f"Put right {fault}")
    expect(page.locator("#live").get_by_text(fault)).to_have_count(0)


@contextmanager
def states_of(client: str) -> Iterator[list[str]]:
    """Every state that ogCore shows of the client, from now on to the end of the block, each once in a row."""
    trusting = ssl._create_unverified_context()
    seen: list[str] = []
    done = threading.Event()

    def look() -> None:
        with urllib.request.urlopen(f"{OGCORE.url}/clients/{client}", context=trusting) as answer:
            now = json.load(answer)["state"]
        if seen[-1:] != [now]:
            seen.append(now)

    def keep_looking() -> None:
        while not done.wait(0.02):
            with suppress(OSError):
                look()

    look()
    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
    look()
