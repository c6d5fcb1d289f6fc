"""The documentation's demonstration, and what else happens in a computer room, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import Shoot
from tests.console.ways import break_it, card, deploy, open_client, open_trace, press, put_right, state, states_of

pytestmark = pytest.mark.xdist_group("room")

SLOW = "repository:slow=256KiB"
"""So that what lasts a moment is still there when the browser looks, on whatever machine."""
STATES = ["og-live", "off", "initializing", "og-live", "busy", "og-live", "initializing", "linux", "linux-session"]


def test_the_demonstration(room: Page, lab: str, shoot: Shoot) -> None:  # noqa: PLR0915 - it is one story
    page = room
    other = page.context.new_page()
    shoot(page, "groups")
    with states_of("pc1") as seen:
        card(page, "pc1").get_by_role("link", name="pc1").click()
        expect(page.get_by_role("img", name="Disk 1")).to_be_visible()
        shoot(page, "client")
        press(page, "Press the power button")
        expect(state(page)).to_have_text("off")
        press(page, "Switch on")
        expect(state(page)).to_have_text("initializing")
        shoot(page, "initializing")
        expect(state(page)).to_have_text("og-live")

        page.get_by_role("main").get_by_role("link", name="Deploy image").click()
        expect(page.get_by_label("Type")).to_have_value("deploy-image")
        corrupt = page.get_by_label("Image", exact=True).locator("option", has_text="image-corrupt")
        expect(corrupt).to_be_disabled()
        expect(corrupt).to_contain_text("MD5")
        page.get_by_label("Image", exact=True).select_option("image-test")
        page.get_by_label("Method").select_option("UNICAST")
        expect(page.get_by_label("Partition")).to_have_value("1/2")
        press(page, "Dry run")
        expect(page.get_by_text("would write image-test to partition 2 of disk 1")).to_be_visible()
        shoot(page, "dry-run")
        break_it(other, lab, SLOW)
        press(page, "Deploy image")
        expect(page.locator("#outcome .good")).to_contain_text("RestaurarImagen-")
        shoot(page, "confirmed")

        expect(page.locator("#bell")).to_have_text("1")
        page.get_by_role("link", name="Traces").click()
        expect(page.get_by_text("fetching")).to_be_visible()
        shoot(page, "traces")
        page.get_by_role("listitem").get_by_role("link", name="pc1").click()
        expect(page.locator(".progress").get_by_text("fetching")).to_be_visible()
        shoot(page, "trace-running")
        put_right(other, lab, SLOW)
        expect(page.get_by_text("Completed successfully")).to_be_visible()
        expect(page.get_by_text("Bottleneck")).to_be_visible()
        ready = page.get_by_role("region", name="Made ready").get_by_role("listitem")
        expect(ready.filter(has_text="it is called pc1")).to_contain_text("done")
        expect(ready.filter(has_text="the file system fills its")).to_contain_text("done")
        shoot(page, "trace-done")
        expect(page.get_by_role("cell", name="RESPUESTA_RestaurarImagen")).to_be_visible()

        page.get_by_role("main").get_by_role("link", name="pc1", exact=True).click()
        expect(page.get_by_role("cell", name="Ubuntu 24.04")).to_be_visible()
        press(page, "Boot from disk")
        expect(state(page)).to_have_text("linux")
        shoot(page, "linux")
        press(page, "Log in")
        expect(state(page)).to_have_text("linux-session")
        shoot(page, "linux-session")
    assert seen == STATES
    press(page, "Restart into ogLive")
    expect(state(page)).to_have_text("og-live")


def test_a_deployment_that_fails_tells_why_and_what_to_do(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    deploy(page, lab, "pc5")
    open_trace(page)
    expect(state(page)).to_have_text("failed")
    expect(
        page.get_by_text("030-The image needs 100663296 bytes, partition 2 of disk 1 has 67108864").first
    ).to_be_visible()
    expect(page.get_by_text("make the partition larger")).to_be_visible()
    shoot(page, "failed")
    press(page, "Retry")
    expect(page.get_by_text("The order was given again.")).to_be_visible()


def test_a_refusal_is_shown_in_the_agents_own_words(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    page.goto(f"{lab}deploy?client=pc2&client=pc3")
    page.get_by_label("Partition").select_option("1/1")
    press(page, "Dry run")
    expect(page.locator("#outcome .bad").first).to_contain_text("partition 1 of disk 1")
    press(page, "Deploy image")
    expect(page.locator("#outcome .bad")).to_have_count(2)
    expect(page.locator("#outcome")).to_contain_text("target-is-system")
    shoot(page, "refused")


def test_cancelled_then_incomplete_then_tried_again(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    break_it(page, lab, "pc2:link=2")
    shoot(page, "faults")
    deploy(page, lab, "pc2", "1/2")
    open_trace(page)
    expect(page.locator(".progress").get_by_text("fetching")).to_be_visible()
    press(page, "Cancel")
    expect(state(page)).to_have_text("cancelled")
    shoot(page, "cancelled")
    trace = page.url
    open_client(page, lab, "pc2")
    expect(page.get_by_role("row").filter(has_text="INCOMPLETE")).to_be_visible()
    shoot(page, "incomplete")
    press(page, "Boot from disk")
    expect(page.get_by_text("It does not come up.")).to_be_visible()
    expect(page.get_by_text("its beginning is empty")).to_be_visible()
    shoot(page, "does-not-boot")
    press(page, "Switch on")
    expect(state(page)).to_have_text("og-live")
    put_right(page, lab, "pc2:link=2")
    page.goto(trace)
    press(page, "Retry")
    page.locator("#notice").get_by_role("link").click()
    expect(state(page)).to_have_text("success")
    open_client(page, lab, "pc2")
    expect(page.get_by_text("INCOMPLETE")).to_have_count(0)


def test_a_cable_is_pulled_and_plugged_in_again_in_mid_deployment(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    break_it(page, lab, "modelo:link=2")
    deploy(page, lab, "modelo")
    open_trace(page)
    expect(page.locator(".progress").get_by_text("fetching")).to_be_visible()
    trace = page.url
    break_it(page, lab, "modelo:cable")
    open_client(page, lab, "modelo")
    expect(state(page)).to_have_text("off")
    shoot(page, "unplugged")
    put_right(page, lab, "modelo:cable")
    put_right(page, lab, "modelo:link=2")
    page.goto(trace)
    expect(state(page)).to_have_text("success")
    shoot(page, "success")


def test_six_clients_at_once(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    break_it(page, lab, SLOW)
    page.goto(lab)
    page.get_by_label("All").check()
    press(page, "Deploy image to selected")
    expect(page.get_by_label("Partition").locator("option[value='1/2']")).to_contain_text("6 clients")
    page.get_by_label("Image", exact=True).select_option("image-test")  # without an index, all of it is fetched
    page.get_by_label("Partition").select_option("1/2")
    page.get_by_label("Method").select_option("unicast-direct")  # some have the image in their CACHE by now
    press(page, "Dry run")
    expect(page.locator("#outcome li")).to_have_count(6)
    expect(page.locator("#outcome .bad")).to_have_count(2)  # two of them have a small partition there
    shoot(page, "dry-run")
    press(page, "Deploy image")
    expect(page.locator("#outcome .good")).to_have_count(5)
    expect(page.locator("#outcome .bad")).to_contain_text("a Microsoft reserved partition")
    shoot(page, "confirmed")
    page.goto(lab)
    expect(page.locator(".card .state-busy").first).to_be_visible()
    expect(page.locator(".card").get_by_text("fetching").nth(2)).to_be_visible()
    shoot(page, "groups")
    page.get_by_role("link", name="Traces").click()
    expect(page.locator(".trace progress").first).to_be_visible()
    shoot(page, "traces")
    put_right(page, lab, SLOW)
    page.goto(f"{lab}traces")
    expect(page.locator(".trace progress")).to_have_count(0)
    newest = page.locator(".trace .result")
    words = [newest.nth(number).inner_text() for number in range(6)]
    assert sorted(words) == ["failed", "failed", "success", "success", "success", "success"]  # the rest succeeds
    shoot(page, "done")


def test_a_page_that_stays_open_recovers_when_ogcore_does(room: Page, browser: Browser, lab: str, shoot: Shoot) -> None:
    page = room
    other = page.context.new_page()
    break_it(other, lab, "ogcore:stopped")
    expect(page.get_by_text("ogCore does not answer.")).to_be_visible()
    expect(card(page, "pc1")).to_be_visible()
    shoot(page, "away")
    put_right(other, lab, "ogcore:stopped")
    expect(page.get_by_text("ogCore does not answer.")).to_have_count(0)
    expect(card(page, "pc1")).to_contain_text("og-live")
    page.goto(f"{lab}traces")
    expect(page.locator(".trace").first).to_be_visible()
    shoot(page, "back")
