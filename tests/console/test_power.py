"""Restart, switch off and boot a partition: through ogCore and the agent, not by the hand of somebody in the room."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PATIENCE_MS, Shoot
from tests.console.ways import deploy, open_client, open_trace, press, state, states_of

pytestmark = pytest.mark.xdist_group("room")

LAB = ["--clients", "1"]


@pytest.fixture
def pc(page: Page, lab: str) -> Page:
    """The page of the only client, in ogLive."""
    open_client(page, lab, "modelo")
    expect(state(page)).to_have_text("og-live")
    return page


def follow(page: Page, lab: str) -> None:
    """Until the trace of what was ordered on the client's page has ended well; back on that page."""
    page.locator("#notice").get_by_role("link").click()
    expect(page.get_by_text("Completed successfully")).to_be_visible()
    open_client(page, lab, "modelo")


def test_a_restart(pc: Page, lab: str) -> None:
    with states_of("modelo") as seen:
        press(pc, "Restart")
        follow(pc, lab)
        give_up = time.monotonic() + PATIENCE_MS / 1000
        while "off" not in seen or seen[-1] != "og-live":  # what is between may be gone before it is seen
            assert time.monotonic() < give_up, seen
            pc.wait_for_timeout(20)


def test_booting_the_partition_that_was_deployed(pc: Page, lab: str, shoot: Shoot) -> None:
    deploy(pc, lab, "modelo", "1/2")
    open_trace(pc)
    expect(state(pc)).to_have_text("success")
    open_client(pc, lab, "modelo")
    press(pc, "Boot partition 2 of disk 1")
    follow(pc, lab)
    expect(state(pc)).to_have_text("linux")
    shoot(pc, "linux")
    press(pc, "Restart into ogLive")
    expect(state(pc)).to_have_text("og-live")


def test_switching_off(pc: Page, lab: str, shoot: Shoot) -> None:
    press(pc, "Switch off")
    follow(pc, lab)
    expect(state(pc)).to_have_text("off")
    shoot(pc, "off")
    press(pc, "Refresh")
    expect(pc.locator("#notice .bad")).to_contain_text("modelo is off")
    press(pc, "Switch on")
    expect(state(pc)).to_have_text("og-live")
