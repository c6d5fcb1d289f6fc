"""What an operator does besides deployments: scripts, inventories, partitions, each until its trace has ended."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from simulator.machine.profile import DIRECTORY
from tests.console.conftest import PATIENCE_MS, Shoot
from tests.console.test_use import serious
from tests.console.ways import card, open_client, open_trace, press, state

pytestmark = pytest.mark.xdist_group("room")

PROFILES = ("classroom", "new-pc", "dual-boot")
LAB = ["--clients", "3", *(word for name in PROFILES for word in ("--profile", str(DIRECTORY / f"{name}.json")))]
SCRIPT = "echo '<b>hello</b>'\nprintf '\\033[1mbold\\n'\n"


@pytest.fixture
def room(page: Page, lab: str) -> Page:
    """The page of all groups, every client in ogLive."""
    page.goto(lab)
    for name in ("modelo", "pc1", "pc2"):
        expect(card(page, name)).to_contain_text("og-live")
    return page


def assistant(page: Page, lab: str, client: str) -> None:
    page.goto(f"{lab}partitions?client={client}")
    expect(page.get_by_role("img", name="Disk 1")).to_be_visible()


def choose_layout(page: Page, layout: str, rows: int) -> None:
    page.get_by_label("Layout").select_option(layout)
    expect(page.get_by_role("group", name="Partition")).to_have_count(rows)


def plan(page: Page) -> list[list[str]]:
    """The rows of a dry run."""
    press(page, "Dry run")
    expect(page.locator("#outcome table")).to_be_visible()
    rows = page.locator("#outcome tbody tr").all()
    return [[cell.inner_text() for cell in row.get_by_role("cell").all()] for row in rows]


def test_a_script_on_two_pcs(room: Page, shoot: Shoot) -> None:
    page = room
    for name in ("modelo", "pc1"):
        card(page, name).get_by_role("checkbox").check()
    press(page, "Run script")
    page.get_by_label("Script", exact=True).fill(SCRIPT)
    shoot(page, "script")
    press(page, "Run script")
    expect(page.locator("#outcome .good")).to_have_count(2)
    page.locator("#outcome").get_by_role("link").first.click()
    expect(page.get_by_text("Completed successfully")).to_be_visible()
    output = page.get_by_role("region", name="Output").last
    expect(output).to_have_text("<b>hello</b>\n\N{SYMBOL FOR ESCAPE}[1mbold\n")
    expect(page.get_by_text("exit status 0")).to_be_visible()
    shoot(page, "trace")
    assert serious(page) == []


def test_a_script_that_fails_says_why(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    page.goto(f"{lab}script?client=modelo")
    page.get_by_label("Script", exact=True).fill("echo 'no such thing'\nexit 3")
    press(page, "Run script")
    open_trace(page)
    expect(state(page)).to_have_text("failed")
    expect(page.get_by_text("040-The script ended with status 3").first).to_be_visible()
    expect(page.get_by_text("its output says why")).to_be_visible()
    expect(page.get_by_role("region", name="Output").last).to_have_text("no such thing\n")
    shoot(page, "failed")


def test_a_script_is_pasted_whole_or_refused(room: Page, lab: str) -> None:
    page = room
    page.goto(f"{lab}script?client=modelo")
    script = page.get_by_label("Script", exact=True)
    script.focus()
    page.keyboard.insert_text(f"# {'x' * 40_000}\necho the end")
    press(page, "Run script")
    page.locator("#outcome").get_by_role("link").click()
    expect(page.get_by_role("region", name="Output").last).to_have_text("the end\n")
    page.goto(f"{lab}script?client=modelo")
    script.focus()
    page.keyboard.insert_text(f"# {'x' * 70_000}\necho the end")
    press(page, "Run script")
    expect(page.locator("#outcome .bad")).to_contain_text("body-too-large")


def test_a_pc_that_is_busy_says_with_what(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    page.goto(f"{lab}script?client=modelo")
    page.get_by_label("Script", exact=True).fill("sleep 600")
    press(page, "Run script")
    open_trace(page)
    trace = page.url
    page.goto(f"{lab}commands?client=modelo")
    press(page, "Software inventory")
    expect(page.locator("#outcome .bad")).to_contain_text("machine-busy")
    expect(page.locator("#outcome .bad")).to_contain_text("EjecutarScript-")
    shoot(page, "busy")
    page.goto(trace)
    press(page, "Cancel")
    expect(state(page)).to_have_text("cancelled")


def test_a_look_at_the_disks(room: Page, lab: str) -> None:
    page = room
    open_client(page, lab, "modelo")
    press(page, "Refresh")
    page.locator("#notice").get_by_role("link").click()
    expect(page.get_by_text("Completed successfully")).to_be_visible()
    expect(page.get_by_role("cell", name="RESPUESTA_Configurar")).to_be_visible()


def test_inventories_are_kept_and_searched(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    open_client(page, lab, "modelo")
    page.get_by_role("main").get_by_role("link", name="Inventory").click()
    expect(page.get_by_text("Nobody has asked for it yet.")).to_have_count(2)
    press(page, "Hardware inventory")
    expect(page.get_by_role("cell", name="Processor", exact=True)).to_be_visible()
    press(page, "Software inventory")
    expect(page.get_by_text("Sistema antiguo 1", exact=True)).to_be_visible()
    rows = page.get_by_role("region", name="Hardware").locator("tbody tr")
    count = rows.count()
    found = page.locator("#found")
    expect(found).to_have_text(f"{count} of {count} lines")
    shoot(page, "inventory")
    page.get_by_label("Search in the inventory").focus()
    page.keyboard.type("PRÓCESSOR")
    expect(found).to_have_text(f"1 of {count} lines")
    expect(page.get_by_role("cell", name="Chassis")).to_be_hidden()
    shoot(page, "searched")
    press(page, "Hardware inventory")  # what comes in is searched as well
    expect(page.get_by_role("cell", name="Chassis")).to_be_hidden()
    page.get_by_label("Search in the inventory").fill("nothing like that")
    expect(found).to_have_text(f"0 of {count} lines")
    page.get_by_label("Search in the inventory").fill("")
    expect(rows.first).to_be_visible()
    assert serious(page) == []


def test_a_new_pc_gets_its_partitions(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    assistant(page, lab, "pc1")
    expect(page.get_by_text("There is no partition in this table.")).to_be_visible()
    choose_layout(page, "windows-linux", 4)
    assert [row[-1] for row in plan(page)] == ["new"] * 4
    shoot(page, "dry-run")
    assert serious(page) == []
    press(page, "Partition and format")
    open_trace(page)
    expect(page.get_by_text("Completed successfully")).to_be_visible()
    shoot(page, "trace")
    open_client(page, lab, "pc1")
    expect(page.get_by_role("row").filter(has_text="CACHE")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="ntfs")).to_be_visible()
    shoot(page, "client")


def test_a_table_is_drafted_with_slider_number_and_keyboard(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    assistant(page, lab, "modelo")
    expect(page.get_by_text("0 B free")).to_be_visible()
    page.get_by_role("button", name="Remove partition 3").press("Enter")
    expect(page.get_by_text("24 MiB free")).to_be_visible()
    expect(page.locator("#draft")).to_be_focused()
    page.get_by_role("button", name="Add partition").press("Enter")
    expect(page.get_by_text("24 MiB for the partition that has the rest")).to_be_visible()
    expect(page.get_by_role("button", name="Add partition")).to_be_focused()
    size = page.get_by_role("group", name="Partition 2").get_by_label("Size in MiB")
    slider = page.get_by_role("slider", name="Size of partition 2")
    slider.press("ArrowLeft")
    expect(size).to_have_value("127")
    expect(page.get_by_text("25 MiB for the partition that has the rest")).to_be_visible()
    size.fill("100")
    expect(slider).to_have_value("100")
    expect(page.get_by_text("52 MiB for the partition that has the rest")).to_be_visible()
    assert [row[-1] for row in plan(page)] == ["kept", "made anew", "made anew", "kept"]
    expect(page.get_by_text("Content that would be lost: partition 2 (ext4, 128 MiB)")).to_be_visible()
    shoot(page, "kept-and-moved")
    size.fill("500")
    expect(page.get_by_text("348 MiB too much for this disk")).to_be_visible()
    press(page, "Dry run")
    expect(page.locator("#outcome .bad")).to_contain_text("table-does-not-fit")
    shoot(page, "too-much")


def test_tables_of_several_pcs_are_drafted_for_the_smallest_disk(room: Page, lab: str, shoot: Shoot) -> None:
    page = room
    assistant(page, lab, "modelo")
    page.get_by_role("checkbox", name="modelo").uncheck()
    expect(page.get_by_text("Select a client whose disks are known.")).to_be_visible()
    page.get_by_role("checkbox", name="pc1").check()
    expect(page.get_by_label("Disk", exact=True)).to_contain_text("512 MiB")
    page.get_by_role("checkbox", name="modelo").check()
    expect(page.get_by_label("Disk", exact=True)).to_contain_text("234 MiB")
    page.get_by_label("Layout").select_option("as-is")
    page.get_by_label("Layout").select_option("linux")
    expect(page.get_by_role("group", name="Partition")).to_have_count(3)
    page.get_by_label("Layout").select_option("as-is")
    expect(page.get_by_text("The tables of these PCs differ; this is that of modelo.")).to_be_visible()
    shoot(page, "differ")
    choose_layout(page, "data", 1)
    expect(page.get_by_text("The tables of these PCs differ")).to_have_count(0)
    size = page.get_by_label("Size in MiB")
    size.fill("100")
    expect(page.get_by_text("132 MiB free")).to_be_visible()
    page.get_by_role("checkbox", name="modelo").uncheck()
    expect(page.get_by_label("Disk", exact=True)).to_contain_text("512 MiB")
    expect(size).to_have_value("100")
    page.get_by_role("checkbox", name="modelo").check()
    expect(page.get_by_text("132 MiB free")).to_be_visible()
    press(page, "Dry run")
    expect(page.locator("#outcome table")).to_have_count(2)
    expect(page.locator("#outcome").get_by_text("removed")).not_to_have_count(0)
    shoot(page, "dry-run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_in_spanish(browser: Browser, lab: str, shoot: Shoot, width: int, scheme: Literal["light", "dark"]) -> None:
    viewport = ViewportSize(width=width, height=800)
    context = browser.new_context(locale="es-ES", viewport=viewport, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    for address, title in (
        ("clients/modelo", "modelo"),
        ("clients/modelo/inventory", "Inventario: modelo"),
        ("commands?client=modelo", "Comandos"),
        ("script?client=modelo", "Ejecutar script"),
        ("partitions?client=modelo", "Asistente de particionado"),
        ("traces", "Trazas"),
    ):
        page.goto(lab + address)
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        shoot(page, re.sub(r"\?.*", "", address).replace("/", "-"))
        assert serious(page) == []
    context.close()
