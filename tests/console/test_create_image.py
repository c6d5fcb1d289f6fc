"""An image is created in the browser, replaced and put back; agent and repository answer as the test says."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, ViewportSize, expect

from simulator.ogcore.console.app import console_app
from simulator.ogcore.images import image_id
from tests.console.behind import Behind
from tests.console.conftest import PATIENCE_MS, Shoot
from tests.console.test_use import serious
from tests.console.ways import open_client, open_trace, press, state
from tests.simulator.image_stage import BEFORE, CREATED, Stage
from tests.simulator.ogcore_room import PROGRESS, Members
from tests.simulator.test_console_images import PARTS, PLAN

GIB = 1 << 30
PHASES = ("checking", "reducing", "capturing", "verifying", "committing", "growing")
NAME = "ubuntu-24.04-lts-espana"
JOB = "CrearImagen-0000000{number}"


class Backstage(Behind):
    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._number = self._seq = 0
        self.stage = Stage(directory, self.serve, self.visit)
        disk = {"disk": 1, "model": "Samsung SSD 870", "size": 24 << 20, "table": "gpt", "partitions": PARTS}
        self.stage.agent.disks = {"disks": [disk]}
        self.room = self.do(self.stage.room())
        url, tls = str(self.room.ogcore.make_url("")).rstrip("/"), ssl.create_default_context()
        self.address = str(self.do(self.serve(console_app(ogcore=url, ogcore_tls=tls))).make_url("/"))

    def answer(self, members: Members) -> None:
        self.stage.agent.answer = (200, members)

    def accept(self) -> None:
        """The next order is another job."""
        self._number += 1
        self.answer({"job_id": JOB.format(number=self._number)})

    def report(self, report: Members) -> None:
        own = {"job_id": JOB.format(number=self._number), "ids": str(self._number)}
        status, answer = self.do(self.room.report(report, **own))
        assert status == 200, answer


@pytest.fixture
def backstage(tmp_path: Path) -> Iterator[Backstage]:
    backstage = Backstage(tmp_path)
    try:
        yield backstage
    finally:
        backstage.close()


def create(page: Page, backstage: Backstage) -> None:
    """Up to the trace."""
    open_client(page, backstage.address, "pc1")
    page.get_by_role("main").get_by_role("link", name="Create image").click()
    page.get_by_label("Name of the image").fill(NAME)
    backstage.accept()
    press(page, "Create image")


def make(backstage: Backstage, size: int) -> None:
    """What the agent and the repository do then."""
    before = backstage.stage.repository.images.get(NAME)
    kept = {"size": before["size"], "modified": before["modified"]} if before else None
    backstage.stage.repository.has(NAME, size, previous=kept)
    image = {"size": size, "used": 3 * size, "filesystem": "EXT4", "digest": "0123456789abcdef" * 4}
    row = {"disk": "1", "par": "1", "cpt": "83", "fsi": "EXT4", "soi": "Ubuntu 24.04", "tam": "1", "uso": "1"}
    backstage.report(CREATED | {"idi": image_id(NAME), "par": "1", "image": image, "cfg": [row]})


def test_from_a_partition_to_the_list(page: Page, backstage: Backstage, shoot: Shoot) -> None:
    open_client(page, backstage.address, "pc1")
    page.get_by_role("main").get_by_role("link", name="Create image").click()
    name = page.get_by_label("Name of the image")
    expect(name).to_have_value(NAME)
    page.get_by_label("Partition").select_option("1/20")
    expect(name).to_have_value("windows-11")
    page.get_by_label("Partition").select_option("1/1")
    expect(name).to_have_value(NAME)
    page.get_by_label("Description").fill("With LibreOffice and Gimp,\nfor room 2.14")
    backstage.answer(PLAN | {"replaces": None})
    press(page, "Dry run")
    expect(page.locator("#outcome")).to_contain_text("Nothing: no image has this name.")
    shoot(page, "dry-run")
    assert serious(page) == []

    backstage.accept()
    press(page, "Create image")
    expect(page.locator("#outcome .good")).to_contain_text("CrearImagen-")
    open_trace(page)
    for progress, phase in enumerate(PHASES):
        backstage.report(PROGRESS | {"nfn": "CrearImagen", "phase": phase, "progress": 10 * progress, "rate": GIB})
        expect(page.locator(".progress")).to_contain_text(phase)
    shoot(page, "running")
    assert serious(page) == []
    make(backstage, 2 * GIB)
    expect(page.locator(".banner.good")).to_have_text("Successfully created")
    expect(page.get_by_role("region", name=f"Image: {NAME}")).to_contain_text("Ubuntu 24.04")
    shoot(page, "trace")
    assert serious(page) == []
    page.get_by_role("main").get_by_role("link", name="Images").click()
    image = page.get_by_role("listitem").filter(has_text=NAME)
    for text in ("Successfully created", "EXT4", "Ubuntu 24.04", "2 GiB", "6 GiB", "for room 2.14", "pc1"):
        expect(image).to_contain_text(text)
    shoot(page, "images")


def test_a_name_that_is_taken_is_asked_about_and_the_old_image_comes_back(
    page: Page, backstage: Backstage, shoot: Shoot
) -> None:
    backstage.stage.repository.has(NAME, GIB, previous=BEFORE)
    open_client(page, backstage.address, "pc1")
    page.get_by_role("main").get_by_role("link", name="Create image").click()
    expect(page.get_by_label("Name of the image")).to_have_value(f"{NAME}-2")
    page.get_by_label("Name of the image").fill(NAME)
    expect(page.locator("#name-note")).to_contain_text("is kept as the previous version")
    page.get_by_label("Partition").select_option("1/20")  # what somebody has typed stays
    page.get_by_label("Partition").select_option("1/1")
    expect(page.get_by_label("Name of the image")).to_have_value(NAME)
    backstage.answer(PLAN)
    press(page, "Dry run")
    expect(page.locator("#outcome")).to_contain_text("The image there now is kept as the previous version.")
    backstage.accept()
    page.get_by_label("Name of the image").press("Enter")
    expect(page.locator("#outcome")).to_contain_text(f"Replace {NAME}?")
    shoot(page, "taken")
    assert serious(page) == []
    assert "/CloningEngine/CrearImagen" not in [path for path, _, _ in backstage.stage.agent.asked]
    replace = page.get_by_role("button", name="Replace image")
    page.get_by_role("button", name="Create image").focus()
    page.keyboard.press("Tab")
    expect(replace).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#outcome .good")).to_be_visible()
    make(backstage, 2 * GIB)
    open_trace(page)
    expect(state(page)).to_have_text("success")

    page.goto(f"{backstage.address}images")
    image = page.get_by_role("listitem").filter(has_text=NAME)
    expect(image).to_contain_text("Previous version: 1 GiB")
    shoot(page, "images")
    page.remove_listener("dialog", Dialog.accept)
    page.once("dialog", Dialog.dismiss)
    press(page, f"Put back {NAME}")
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.once("dialog", accept)
    press(page, f"Put back {NAME}")
    expect(page.locator("#notice")).to_contain_text("is in its place again")
    expect(image).to_contain_text("Previous version: 2 GiB")
    expect(image).not_to_contain_text("Successfully created")
    assert len(backstage.stage.repository.asked) == 1
    assert f"Put back the previous version of {NAME}?" in asked[0]
    shoot(page, "put-back")
    backstage.stage.repository.images[NAME]["locked"] = True
    expect(image).to_contain_text("being worked on")
    expect(page.get_by_role("button", name="Put back")).to_have_count(0)
    assert serious(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_in_spanish(
    browser: Browser, backstage: Backstage, shoot: Shoot, width: int, scheme: Literal["light", "dark"]
) -> None:
    repository = backstage.stage.repository
    repository.has("aula/a-name-" + "x" * 180, 5 * GIB, previous=BEFORE, info="partclone:zstd:NTFS:9000:modelo")
    repository.has("written", GIB, previous=BEFORE, locked=True)
    repository.has("broken", GIB, state="corrupt", reason="the MD5 sum of broken.img is not the one in its sidecar")
    repository.has(NAME, GIB)
    viewport = ViewportSize(width=width, height=800)
    context = browser.new_context(locale="es-ES", viewport=viewport, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()

    def look(name: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        shoot(page, name)
        assert serious(page) == []

    page.goto(f"{backstage.address}clients/pc1")
    look("client")
    page.goto(f"{backstage.address}clients/pc1/create-image")
    page.get_by_label("Nombre de la imagen").fill(NAME)
    expect(page.get_by_text("ya existe: la imagen actual se conserva")).to_be_visible()
    backstage.answer(PLAN)
    press(page, "Ensayo")
    expect(page.locator("#outcome")).to_contain_text("Sustituye")
    look("dry-run")
    press(page, "Crear imagen")
    expect(page.locator("#outcome")).to_contain_text(f"¿Sustituir {NAME}?")
    look("taken")
    backstage.accept()
    press(page, "Sustituir la imagen")
    expect(page.locator("#outcome .good")).to_be_visible()
    backstage.report(PROGRESS | {"nfn": "CrearImagen", "phase": "capturing"})
    page.goto(backstage.address)
    expect(page.locator(".progress")).to_contain_text("creando la imagen")
    look("groups")
    make(backstage, 2 * GIB)
    page.goto(f"{backstage.address}traces")
    expect(page.get_by_text("Creada correctamente")).to_be_visible()
    look("traces")
    page.get_by_role("listitem").get_by_role("link", name="pc1").click()
    expect(page.get_by_role("heading", name=f"Imagen: {NAME}", exact=True)).to_be_visible()
    look("trace")
    page.goto(f"{backstage.address}images")
    expect(page.get_by_role("listitem")).to_have_count(4)
    look("images")
    context.close()
