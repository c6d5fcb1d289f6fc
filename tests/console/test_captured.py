"""The whole circle in the browser, with real agents: an image is made of one PC, and another becomes that PC."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.console.conftest import Shoot
from tests.console.ways import open_client, open_trace, press, state

NAME = "aula-1"


def create(page: Page, lab: str, shoot: Shoot, *, replaced: bool) -> None:
    """Of what pc1 has on partition 2, up to the end of the trace."""
    open_client(page, lab, "pc1")
    page.get_by_role("main").get_by_role("link", name="Create image").click()
    page.get_by_label("Partition").select_option("1/2")
    page.get_by_label("Name of the image").fill(NAME)
    press(page, "Dry run")
    outcome = page.locator("#outcome")
    expect(outcome).to_contain_text("is kept as the previous version" if replaced else "no image has this name")
    shoot(page, "dry-run")
    press(page, "Create image")
    if replaced:
        press(page, "Replace image")
    expect(outcome.locator(".good")).to_be_visible()
    open_trace(page)
    expect(state(page)).to_have_text("success")
    expect(page.locator(".banner.good")).to_have_text("Successfully created")
    shoot(page, "trace")


def test_from_one_pc_to_another(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    create(page, lab, shoot, replaced=False)
    page.goto(f"{lab}images")
    image = page.get_by_role("listitem").filter(has_text=NAME)
    for text in ("Successfully created", "EXT4", "Sistema antiguo", "pc1"):
        expect(image).to_contain_text(text)
    page.goto(f"{lab}deploy?client=pc2")
    page.get_by_label("Image").select_option(NAME)
    page.get_by_label("Partition").select_option("1/2")
    press(page, "Deploy image")
    expect(page.get_by_text("The order was accepted.")).to_be_visible()
    open_trace(page)
    expect(state(page)).to_have_text("success")
    shoot(page, "deployed")
    open_client(page, lab, "pc2")
    expect(page.get_by_role("main")).to_contain_text("Sistema antiguo")

    create(page, lab, shoot, replaced=True)
    page.goto(f"{lab}images")
    expect(image).to_contain_text("Previous version")
    shoot(page, "images")
    press(page, f"Put back {NAME}")
    expect(page.locator("#notice")).to_contain_text("is in its place again")
