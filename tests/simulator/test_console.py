"""The console without a browser: who may press its buttons, what it loads, in which language it speaks."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.machine.profile import DIRECTORY, read_profile
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client, ClientState, demo_room, read_clients
from simulator.ogcore.console import actions, figures, inventory, layouts
from simulator.ogcore.console.app import console_app
from simulator.ogcore.console.language import SPANISH, say_in
from simulator.ogcore.console.pages import PAGES
from simulator.ogcore.openapi import OPERATIONS, document
from simulator.ogcore.traces import TraceState
from simulator.ogcore.views import DiskView, PartitionView

CONSOLE = Path(figures.__file__).parent
TEMPLATES = sorted((CONSOLE / "templates").glob("*.html"))
TOLD = re.compile(r'(?:tell_missing\(request, |return )"([A-Z][^"]+\.)"')
Browser = TestClient[web.Request, web.Application]


@pytest.fixture
async def browser(tmp_path: Path, aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Browser:
    authority = Authority(tmp_path / "ca")
    app = await ogcore_app(demo_room(3), repository="http://127.0.0.1:9")
    ogcore = await aiohttp_server(app, ssl=authority.server_context("127.0.0.1"))
    url = f"https://127.0.0.1:{ogcore.port}"
    console: Browser = await aiohttp_client(console_app(ogcore=url, ogcore_tls=authority.client_context()))
    return console


def origin(browser: Browser) -> str:
    return str(browser.make_url("")).rstrip("/")


@pytest.mark.parametrize("path", [path for path in PAGES if "{" not in path])
async def test_pages(browser: Browser, path: str) -> None:
    async with browser.get(path) as response:
        assert response.status == 200
        text = await response.text()
    assert "<h1>" in text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "'unsafe" not in response.headers["Content-Security-Policy"]
    assert not re.search(r'(src|href)="(https?:)?//(?!opengnsys\.es")', text)
    assert " style=" not in text
    assert "onclick" not in text


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_field_cuts_what_is_pasted(template: Path) -> None:
    """What is too long is refused by whoever it is for; the rest of a script would run without its end."""
    assert "maxlength" not in template.read_text()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_what_is_ordered_is_ordered_once(template: Path) -> None:
    """A button that waits for an answer cannot be pressed again."""
    asking = re.findall(r"<(?:form|button)[^>]* hx-(?:get|post)=[^>]*>", template.read_text())
    ordering = [each for each in asking if 'hx-target="#draft"' not in each]
    assert [each for each in ordering if " hx-disable=" not in each] == []


@pytest.mark.parametrize("path", ["/clients/nobody", "/traces/99", "/nothing"])
async def test_what_is_not_there(browser: Browser, path: str) -> None:
    assert (await browser.get(path)).status == 404


async def test_without_a_lab_nobody_pulls_cables(browser: Browser) -> None:
    assert (await browser.get("/faults")).status == 404
    headers = {"Origin": origin(browser)}
    assert (await browser.post("/clients/pc1/switch-off", headers=headers)).status == 404
    assert (await browser.post("/faults/inject", data={"fault": "ogcore:stopped"}, headers=headers)).status == 404


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_a_button_pressed_from_elsewhere_does_nothing(browser: Browser, headers: dict[str, str]) -> None:
    assert (await browser.post("/language", data={"language": "es"}, headers=headers)).status == 403


async def test_a_rebound_name_gets_no_answer(browser: Browser) -> None:
    assert (await browser.get("/", headers={"Host": "evil.example:8080"})).status == 403
    assert (await browser.get("/", headers={"Host": "localhost:8080"})).status == 200


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_the_way_back_leads_nowhere_else(browser: Browser, back: str) -> None:
    data = {"language": "es", "back": back}
    headers = {"Origin": origin(browser)}
    assert (await browser.post("/language", data=data, headers=headers, allow_redirects=False)).status == 400


async def test_without_ogcore_it_says_so(tmp_path: Path, aiohttp_client: AiohttpClient) -> None:
    tls = ssl.create_default_context()
    console: Browser = await aiohttp_client(console_app(ogcore="https://127.0.0.1:9", ogcore_tls=tls))
    async with console.get("/") as response:
        assert response.status == 200
        assert "Waiting for ogCore" in await response.text()


async def test_the_stream_says_what_changes_and_ends_with_the_server(browser: Browser) -> None:
    async with browser.get("/live/") as response:
        assert response.content_type == "text/event-stream"
        async with asyncio.timeout(300):
            line = await response.content.readline()
        assert line.startswith(b"data: ")
        await browser.close()


# --- words ------------------------------------------------------------------------------------------------------------


def test_everything_is_said_in_spanish_too() -> None:
    literal = re.compile(r"""_\((?:"([^"]+)"|'([^']+)')""")
    said = {one or other for path in TEMPLATES for one, other in literal.findall(path.read_text())}
    labels = re.findall(r'\("[^"]+:[^"]+", "([^"]+)"\)', (CONSOLE / "templates" / "faults.html").read_text())
    reasons = [read_profile(path).reason for path in DIRECTORY.glob("*.json")]
    said |= {*labels, *reasons, *actions._DONE.values(), *ClientState, *TraceState, *figures.PHASES}
    said |= {*figures.TITLES.values(), *inventory.PARTS.values(), *(label for label, _ in layouts.LAYOUTS.values())}
    said |= {text for path in CONSOLE.glob("*.py") for text in TOLD.findall(path.read_text())}
    said |= {"kept", "emptied", "made anew", "new", "formatted", "removed"}
    assert sorted(said - set(SPANISH)) == []


def test_both_languages_name_the_same_values() -> None:
    names = re.compile(r"{(\w+)}")
    assert [text for text, words in SPANISH.items() if set(names.findall(text)) != set(names.findall(words))] == []


def test_a_message_of_an_agent_is_not_taken_for_a_pattern() -> None:
    assert say_in("es")("033-{0}") == "033-{0}"


# --- figures ----------------------------------------------------------------------------------------------------------


def test_a_drawing_covers_the_whole_disk_in_order() -> None:
    parts = tuple(
        PartitionView(partition=number, start=start, size=size)
        for number, start, size in ((1, 10, 5), (2, 15, 700), (3, 800, 100))
    )
    drawn = figures.segments(DiskView(disk=1, size=1000, partitions=parts))
    assert [segment.partition.partition if segment.partition else None for segment in drawn] == [
        *(None, 1, 2, None, 3, None),
    ]
    assert drawn[0].x == 0
    assert drawn[-1].x + drawn[-1].width == pytest.approx(1000, abs=1)
    assert drawn[1].width > 30  # small, but it can be seen


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (3 << 19, "1.5 MiB")])
def test_sizes(value: int, text: str) -> None:
    assert figures.size(value) == text


# --- the interface under it -------------------------------------------------------------------------------------------


async def test_the_description_names_every_call_and_no_other() -> None:
    app = await ogcore_app(demo_room(), repository="http://127.0.0.1:9")
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource and route.method != "HEAD" and not route.resource.canonical.startswith("/opengnsys/")
    }
    assert routes == {(operation.method, operation.path) for operation in OPERATIONS}
    described: dict[str, Any] = json.loads(json.dumps(document()))
    assert set(described["paths"]) == {operation.path for operation in OPERATIONS}
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)):
        assert reference in described["components"]["schemas"]
    app.freeze()
    await app.startup()
    await app.cleanup()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '[{"name": "pc1"}]',
        '[{"name": "pc 1", "ip": "1"}]',
        '[{"name": "a", "ip": "1"}, {"name": "a", "ip": "2"}]',
    ],
)
def test_a_file_of_clients_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "clients.json").write_text(text)
    with pytest.raises(LabError, match=r"clients\.json"):
        read_clients(tmp_path / "clients.json")


def test_a_file_of_clients(tmp_path: Path) -> None:
    (tmp_path / "clients.json").write_text('[{"name": "pc1", "ip": "192.168.2.3", "room": "Aula 2"}]')
    assert read_clients(tmp_path / "clients.json") == (Client(name="pc1", mac="", ip="192.168.2.3", room="Aula 2"),)
