"""A room that gets one image together, in the browser: the form, and whoever is late, has failed or has left."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from aiohttp import web
from playwright.sync_api import Page, expect

from simulator.ogcore.console.app import console_app
from tests.console.behind import Behind
from tests.console.conftest import PATIENCE_MS, Shoot
from tests.console.test_use import serious
from tests.console.ways import press

SESSION = "udpcast-1a2b3c4d"
METHOD = "multicast 9000:full-duplex:239.194.35.40:70M:20:120"
PCS = 20
SOURCES = {"multicast": 61 << 20, "peers": 37 << 20, "repository": 2 << 20, "cache": 0}
LEFT = "left the session after 12 s: link too slow"
SLOW = "060-multicast session left: link too slow"


def trace(number: int, state: str, progress: int, **more: Any) -> dict[str, Any]:
    place = {"client": f"pc{number}", "partition": "1/2", "session": SESSION, "method": "multicast"}
    what = {"command": "deploy-image", "image": "ubuntu-24.04", "job_id": f"RestaurarImagen-{number:08}"}
    times = {"created": "2026-11-29T10:00:00.000Z", "finished": "2026-11-29T10:02:00.000Z"}
    return {"id": str(number), **place, **what, **times, "state": state, "progress": progress, "text": "", **more}


def traces() -> list[dict[str, Any]]:
    done = [trace(number, "success", 100, sources=SOURCES, text="Completed successfully") for number in range(1, 8)]
    left = trace(8, "success", 100, sources=SOURCES, left=LEFT, text="Completed successfully")
    failed = trace(9, "failed", 12, text="030-The image needs 8589934592 bytes, partition 2 of disk 1 has 4294967296")
    late = trace(10, "in-progress", 22, phase="fetching", rate=900_000, eta_s=300)
    rest = [trace(number, "in-progress", 90, phase="fetching", rate=8_000_000, eta_s=9) for number in range(11, 21)]
    return [*done, left, failed, late, *rest]


class OgCore:
    """Answers as ogCore does in the middle of a deployment, and remembers what was ordered."""

    def __init__(self) -> None:
        self.ordered: list[Any] = []
        self.answer: tuple[int, dict[str, Any]] = (200, {})
        self.free = threading.Event()
        """While it is not set, orders wait for their answers."""
        self.free.set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/clients", self._clients)
        app.router.add_get("/clients/{name}/disks", self._disks)
        app.router.add_get("/images", self._images)
        app.router.add_get("/traces", self._traces)
        app.router.add_get("/traces/{id}", self._trace)
        app.router.add_post("/deploy", self._deploy)
        app.router.add_post("/clients/{name}/plan", self._deploy)
        app.router.add_post("/traces/{id}/retry", self._deploy)
        return app

    async def _clients(self, _: web.Request) -> web.Response:
        place = {"port": 8000, "centre": "ETSII", "room": "Aula 1", "state": "busy", "mac": "08:00:27:0b:88:be"}
        clients = [{"name": f"pc{number}", "ip": f"10.0.0.{number}", **place} for number in range(1, PCS + 1)]
        return web.json_response({"clients": clients})

    async def _disks(self, request: web.Request) -> web.Response:
        """``pc3`` has two of them."""
        part = {"partition": 2, "start": 1 << 20, "size": 1 << 34, "code": "8300", "filesystem": "ext4"}
        numbers = (1, 2) if request.match_info["name"] == "pc3" else (1,)
        disks = [{"disk": number, "size": 1 << 35, "partitions": [part]} for number in numbers]
        return web.json_response({"current": True, "disks": disks})

    async def _images(self, _: web.Request) -> web.Response:
        image = {"id": "1", "name": "ubuntu-24.04", "state": "ok", "offered": True, "size": 1 << 30}
        return web.json_response({"images": [image]})

    async def _traces(self, request: web.Request) -> web.Response:
        status = request.query.get("status")
        return web.json_response({"traces": [each for each in traces() if status in (None, each["state"])]})

    async def _trace(self, request: web.Request) -> web.Response:
        found = traces()[int(request.match_info["id"]) - 1]
        timings = {"checking": 1.0, "fetching": 60.0, "finishing": 9.0, "bottleneck": "network"}
        job = {"job_id": found["job_id"], "state": "succeeded", "timings": timings, "warnings": [SLOW]}
        details = {"members": {"method": METHOD}, "doubles": 0, "violations": [], "reports": []}
        return web.json_response(found | details | {"job": job})

    async def _deploy(self, request: web.Request) -> web.Response:
        self.ordered.append(await request.json() if request.can_read_body else request.path)
        await asyncio.to_thread(self.free.wait, PATIENCE_MS / 1000)
        status, said = self.answer
        return web.json_response(said, status=status)


@pytest.fixture
def core() -> OgCore:
    return OgCore()


@pytest.fixture
def address(core: OgCore) -> Iterator[str]:
    behind = Behind()
    try:
        url = str(behind.do(behind.serve(core.app())).make_url("")).rstrip("/")
        console = console_app(ogcore=url, ogcore_tls=ssl.create_default_context())
        yield str(behind.do(behind.serve(console)).make_url("/"))
    finally:
        behind.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_whoever_needs_somebody_is_seen_first(
    page: Page, address: str, shoot: Shoot, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}traces?session={SESSION}")
    seats = page.get_by_role("region", name="One session for all").get_by_role("listitem")
    expect(seats).to_have_count(PCS)
    words = [" ".join(seat.inner_text().split()) for seat in seats.all()[:4]]
    assert words == ["pc9 failed 12 %", "pc10 late 22 %", "pc8 left 100 %", "pc11 in-progress 90 %"]
    expect(page.get_by_text("61 % multicast, 37 % peers, 2 % repository").first).to_be_visible()
    shoot(page, "room")
    assert serious(page) == []


def test_a_trace_says_where_the_bytes_came_from(page: Page, address: str, shoot: Shoot) -> None:
    page.goto(f"{address}traces/8")
    said = "61 % multicast, 37 % peers, 2 % repository; left the session after 12 s: link too slow"
    expect(page.get_by_text(said)).to_be_visible()
    expect(page.get_by_text(SLOW)).to_be_visible()
    page.get_by_role("link", name=METHOD).click()
    expect(page).to_have_url(f"{address}traces?session={SESSION}")
    page.goto(f"{address}traces/8")
    shoot(page, "trace")
    assert serious(page) == []


def test_in_spanish(page: Page, address: str, shoot: Shoot) -> None:
    page.goto(f"{address}traces/8")
    page.get_by_role("button", name="Español").click()
    expect(page.get_by_text("61 % multidifusión, 37 % otros PC, 2 % repositorio; dejó la sesión")).to_be_visible()
    page.goto(f"{address}deploy?client=pc1")
    page.get_by_label("Método").select_option("multicast")
    expect(page.get_by_label("Grupo de multidifusión")).to_be_visible()
    shoot(page, "form")


def test_a_method_has_its_options(page: Page, address: str, core: OgCore, shoot: Shoot) -> None:
    page.goto(f"{address}deploy?client=pc1&client=pc2")
    method, speed, group = page.get_by_label("Method"), page.get_by_label("Speed"), page.get_by_label("Multicast group")
    expect(speed).to_be_hidden()
    method.select_option("p2p")
    expect(speed).to_be_visible()
    expect(group).to_be_hidden()
    method.select_option("multicast")
    expect(group).to_be_visible()
    speed.fill("900")
    shoot(page, "form")
    assert serious(page) == []
    outcomes = [{"client": "pc1", "status": 200, "job_id": "RestaurarImagen-00000001", "trace": "1"}]
    outcomes += [{"client": "pc2", "status": 409, "error": "pc2 is off"}]
    core.answer = (200, {"session": SESSION, "method": METHOD, "outcomes": outcomes})
    press(page, "Deploy image")
    order = {"image": "ubuntu-24.04", "disk": "1", "partition": "2", "method": "multicast"}
    expect(page.get_by_text("pc2 is off")).to_be_visible()
    assert core.ordered == [order | {"clients": ["pc1", "pc2"], "session": {"speed": "900"}}]
    shoot(page, "outcome")
    assert serious(page) == []
    page.get_by_role("link", name="Watch the room").click()
    expect(page).to_have_url(f"{address}traces?session={SESSION}")


def test_what_is_overwritten_is_what_was_chosen_and_asked_before(
    page: Page, address: str, core: OgCore, shoot: Shoot
) -> None:
    page.goto(f"{address}deploy?client=pc3")
    place = page.get_by_label("Partition")
    place.select_option("2/2")
    page.get_by_role("checkbox", name="pc4").check()
    expect(place.locator("option", has_text="2 clients")).to_have_attribute("value", "1/2")
    expect(place).to_have_value("2/2")
    with page.expect_event("dialog") as asked:
        press(page, "Deploy image")
    assert asked.value.message == (
        "Write ubuntu-24.04 over Disk 2, partition 2 \N{EN DASH} ext4 \N{EN DASH} 16 GiB? What it holds is lost. "
        "Selected clients: 2."
    )
    expect(page.locator("#outcome .banner")).to_be_visible()
    assert [(each["disk"], each["partition"]) for each in core.ordered] == [("2", "2")]
    page.get_by_role("checkbox", name="pc3").uncheck()
    expect(place).to_have_value("")
    expect(place.locator("option:checked")).to_contain_text("Choose again")
    shoot(page, "choose-again")
    page.get_by_role("checkbox", name="pc5").check()
    expect(place.locator("option", has_text="2 clients")).to_have_attribute("value", "1/2")
    expect(place).to_have_value("")


def test_a_repository_that_refuses_is_heard(page: Page, address: str, core: OgCore, shoot: Shoot) -> None:
    core.answer = (409, {"error": "the repository refuses the session: port 9000 is in use", "hint": "wait"})
    page.goto(f"{address}deploy?client=pc1")
    page.get_by_label("Method").select_option("multicast")
    press(page, "Deploy image")
    expect(page.get_by_text("the repository refuses the session: port 9000 is in use")).to_be_visible()
    shoot(page, "refused")


def test_while_an_answer_is_waited_for_it_is_said(page: Page, address: str, core: OgCore, shoot: Shoot) -> None:
    """And what was answered before is not taken for it."""
    core.answer = (409, {"error": "pc1 is off"})
    page.goto(f"{address}deploy?client=pc1")
    button, outcome = page.get_by_role("button", name="Dry run"), page.locator("#outcome")
    button.click()
    expect(outcome.get_by_text("pc1 is off")).to_be_visible()
    core.free.clear()
    button.click()
    expect(button).to_be_disabled()
    expect(outcome.get_by_text("pc1 is off")).to_be_hidden()
    assert "Waiting for the answer" in outcome.evaluate("each => getComputedStyle(each, '::before').content")
    shoot(page, "waiting")
    core.free.set()
    expect(outcome.get_by_text("pc1 is off")).to_be_visible()
    expect(button).to_be_enabled()
    assert outcome.evaluate("each => getComputedStyle(each, '::before').content") == "none"


def test_a_double_click_orders_once(page: Page, address: str, core: OgCore) -> None:
    """Also when the first half of it is answered before the second."""
    core.answer = (200, {"job_id": "RestaurarImagen-00000021", "trace": "21"})
    core.free.clear()
    page.goto(f"{address}traces/9")
    button = page.get_by_role("button", name="Retry")
    button.dblclick()
    core.free.set()
    expect(page.get_by_text("The order was given again.")).to_be_visible()
    expect(button).to_be_enabled()
    button.dispatch_event("click", {"detail": 2})
    page.reload()
    assert core.ordered == ["/traces/9/retry"]
