"""Six PCs out of the box: from the browser they get their partitions, and then their image, all at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from simulator.machine.profile import DIRECTORY
from tests.console.conftest import Shoot
from tests.console.ways import open_client, press

pytestmark = pytest.mark.xdist_group("room")

LAB = ["--profile", str(DIRECTORY / "new-pc.json")]
CLIENTS = ("modelo", "pc1", "pc2", "pc3", "pc4", "pc5")
ALL = "&".join(f"client={name}" for name in CLIENTS)


def wait_for_all(page: Page, lab: str) -> None:
    """Until the traces of the last order to each have ended well."""
    traces = [link.get_attribute("href") or "" for link in page.locator("#outcome .good").get_by_role("link").all()]
    assert len(traces) == len(CLIENTS)
    for trace in traces:
        page.goto(lab + trace.removeprefix("/"))
        expect(page.get_by_text("Completed successfully")).to_be_visible()


def test_a_room_of_new_pcs(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    page.goto(f"{lab}partitions?{ALL}")
    page.get_by_label("Layout").select_option("linux")
    expect(page.get_by_role("group", name="Partition")).to_have_count(3)
    press(page, "Dry run")
    expect(page.locator("#outcome table")).to_have_count(6)
    shoot(page, "dry-run")
    press(page, "Partition and format")
    expect(page.locator("#outcome .good")).to_have_count(6)
    wait_for_all(page, lab)

    page.goto(f"{lab}deploy?{ALL}")
    page.get_by_label("Image", exact=True).select_option("image-test")
    page.get_by_label("Partition").select_option("1/2")
    press(page, "Deploy image")
    expect(page.locator("#outcome .good")).to_have_count(6)
    shoot(page, "deployed")
    wait_for_all(page, lab)
    for name in CLIENTS:
        open_client(page, lab, name)
        expect(page.get_by_role("cell", name="Ubuntu 24.04")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="CACHE")).to_be_visible()
    shoot(page, "client")
