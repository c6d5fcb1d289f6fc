"""The console in the hands of different people: keyboard, screen reader, phone, projector, another language."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import PATIENCE_MS, Shoot
from tests.console.ways import card, deploy, open_trace

pytestmark = pytest.mark.xdist_group("room")

ADDRESSES = [
    "",
    "?view=table",
    "clients/pc1",
    "clients/pc3",
    "clients/pc1/inventory",
    "clients/pc1/create-image",
    "deploy?client=pc1",
    "commands?client=pc1",
    "script?client=pc1",
    "partitions?client=pc1",
    "traces",
    "images",
    "faults",
    "clients/nobody",
]
SERIOUS = {"serious", "critical"}


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] in SERIOUS]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(room: Page, lab: str, shoot: Shoot, scheme: Literal["light", "dark"]) -> None:
    found = {}
    room.emulate_media(color_scheme=scheme)
    for address in ADDRESSES:
        room.goto(lab + address)
        found[address] = serious(room)
        shoot(room, address.partition("?")[0].replace("/", "-") or "groups")
    assert found == {address: [] for address in ADDRESSES}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_trace_and_its_outcome(
    room: Page, lab: str, shoot: Shoot, scheme: Literal["light", "dark"]
) -> None:
    room.emulate_media(color_scheme=scheme)
    deploy(room, lab, "pc5")
    assert serious(room) == []
    open_trace(room)
    expect(room.get_by_text("030-").first).to_be_visible()
    shoot(room, "trace")
    assert serious(room) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_what_an_agent_depends_on(room: Page, lab: str, shoot: Shoot, width: int) -> None:
    room.set_viewport_size({"width": width, "height": 800})
    room.goto(lab + "clients/pc1")
    room.get_by_role("button", name="Check", exact=True).click()
    expect(room.get_by_role("heading", name="What the agent of pc1 depends on")).to_be_visible()
    expect(room.get_by_role("cell", name="openat2", exact=True)).to_be_visible()
    shoot(room, f"check-{width}")
    assert serious(room) == []
    assert room.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1920, 1080)], ids=["phone", "projector"])
def test_every_width(room: Page, lab: str, shoot: Shoot, width: int, height: int) -> None:
    room.set_viewport_size({"width": width, "height": height})
    for address in ADDRESSES:
        room.goto(lab + address)
        assert room.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        shoot(room, address.partition("?")[0].replace("/", "-") or "groups")


def test_the_keyboard_alone(room: Page, lab: str) -> None:
    keyboard = room.keyboard
    keyboard.press("Tab")
    expect(room.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press("Enter")
    choice = card(room, "pc1").get_by_role("checkbox", name="Select pc1")
    for _ in range(20):
        keyboard.press("Tab")
        if choice.evaluate("box => box === document.activeElement"):
            break
    expect(choice).to_be_focused()
    keyboard.press("Space")
    expect(choice).to_be_checked()
    keyboard.press("Enter")
    expect(room).to_have_url(f"{lab}deploy?client=pc1")


def test_in_spanish(browser: Browser, lab: str, shoot: Shoot) -> None:
    context = browser.new_context(locale="es-ES", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{lab}clients/pc3")
    expect(page.get_by_role("heading", name="Información general")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "es"
    shoot(page, "client")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    expect(page).to_have_url(f"{lab}clients/pc3")
    context.close()
