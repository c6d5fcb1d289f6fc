"""The console's pages and buttons for images that are created and put back, down to what agent and repository get."""

from __future__ import annotations

import re
import ssl
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from simulator.ogcore.console.app import console_app
from simulator.ogcore.console.capturing import suggestion
from simulator.ogcore.console.choices import Offer
from tests.simulator.fake_repository import TOKEN
from tests.simulator.image_stage import BEFORE, FOUND, ID, JOB, Stage, created
from tests.simulator.ogcore_room import Members, Room
from tests.simulator.test_console_orders import Desk

MIB = 1 << 20
SYSTEM: Members = {"size": 100 * MIB, "code": "8300", "filesystem": "ext4"}
OTHERS: list[Members] = [
    {"code": "EF00", "filesystem": "vfat"},
    {"code": "ef", "filesystem": "vfat"},
    {"code": "8200", "filesystem": "swap"},
    {"code": "82", "filesystem": ""},
    {"code": "CA00", "filesystem": "ext4", "cache": True},
    {"code": "8300", "filesystem": "ext4", "incomplete": True},
    {"code": "8300", "filesystem": ""},
    {"code": "8300", "filesystem": "ext4", "problem": "it runs into the CACHE"},
]
PARTS = [SYSTEM | {"partition": 1, "start": MIB, "os": "Ubuntu 24.04 LTS (España)"}]
PARTS += [SYSTEM | each | {"partition": number, "start": number * MIB} for number, each in enumerate(OTHERS, start=2)]
PARTS += [SYSTEM | {"partition": 20, "start": 20 * MIB, "code": "0700", "filesystem": "ntfs", "os": "Windows 11"}]
PLAN: dict[str, Any] = {
    "target": {"disk": 1, "partition": 1, "device": "/dev/sda1", "size": 100 * MIB},
    "destination": "https://repo:8443/ogrepository/images/aula/ubuntu.img",
    "filesystem": "EXT4",
    "used": 40 * MIB,
    "replaces": {"size": 3000},
    "room": 900 * MIB,
    "reduce": True,
    "warnings": ["<b>Windows</b> was not shut down"],
}
CLIENT, PLACE, NAME = ("client", "pc1"), ("place", "1/1"), ("image", "aula/ubuntu")
TEXT = ("description", "With LibreOffice\r\nand Gimp")


@pytest.fixture
async def desk(stage: Stage, aiohttp_client: AiohttpClient) -> Desk:
    stage.agent.disks = {"disks": [{"disk": 1, "size": 1000 * MIB, "table": "gpt", "partitions": PARTS}]}
    return await sit_down(await stage.room(), aiohttp_client)


async def sit_down(room: Room, client: AiohttpClient) -> Desk:
    url, tls = str(room.ogcore.make_url("")).rstrip("/"), ssl.create_default_context()
    console: TestClient[web.Request, web.Application] = await client(console_app(ogcore=url, ogcore_tls=tls))
    return Desk(room, console)


def name_in(page: str) -> tuple[str, str]:
    """What is in the field, and what was suggested for it."""
    typed = re.search(r'name="image"[^>]* value="([^"]*)"', page)
    suggested = re.search(r'name="suggested" value="([^"]*)"', page)
    assert typed
    assert suggested
    return typed[1], suggested[1]


# --- the page ---------------------------------------------------------------------------------------------------------


async def test_only_what_can_be_captured_is_offered(desk: Desk) -> None:
    page = await desk.get("/clients/pc1/create-image")
    assert re.findall(r'<option value="(\d+/\d+)"', page) == ["1/1", "1/20"]
    assert 'href="/clients/pc1/create-image"' in await desk.get("/clients/pc1")


async def test_a_client_whose_disks_are_not_known(stage: Stage, aiohttp_client: AiohttpClient) -> None:
    desk = await sit_down(await stage.room(), aiohttp_client)
    page = await desk.get("/clients/pc1/create-image")
    assert "No partition of this client can be captured" in page
    assert "<form id" not in page


async def test_the_name_is_suggested_after_the_system(desk: Desk, stage: Stage) -> None:
    ubuntu = "ubuntu-24.04-lts-espana"
    assert name_in(await desk.get("/clients/pc1/create-image")) == (ubuntu, ubuntu)
    stage.repository.has(ubuntu, 1)
    stage.repository.has(f"{ubuntu}-2", 1)
    page = await desk.get("/clients/pc1/create-image")
    assert name_in(page) == (f"{ubuntu}-3", f"{ubuntu}-3")
    assert f'<option value="{ubuntu}-2">' in page


@pytest.mark.parametrize(
    ("typed", "place", "now"),
    [("old", "1/20", "windows-11"), ("", "1/20", "windows-11"), ("mine", "1/20", "mine"), ("old", "7/7", "old")],
)
async def test_another_partition_has_another_suggestion(desk: Desk, typed: str, place: str, now: str) -> None:
    fields = [CLIENT, ("suggested", "old"), ("image", typed), ("place", place)]
    assert name_in(await desk.post("/create-image/name", *fields))[0] == now


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("Windows 11 Pro", "windows-11-pro"),
        ("CentOS...7", "centos.7"),
        ("/\\<>", "pc1-1-2"),
        ("", "pc1-1-2"),
        ("ñ", "n"),
    ],
)
def test_suggestions_are_names(what: str, name: str) -> None:
    offer = Offer(disk=1, partition=2, clients=1, sizes=(), what=what, likely=False)
    assert suggestion("pc1", offer, set()) == name


async def test_a_name_that_is_taken_is_noted(desk: Desk, stage: Stage) -> None:
    assert (await desk.post("/create-image/note", NAME)).strip() == ""
    stage.repository.has("aula/ubuntu", 3000)
    assert "is kept as the previous version" in await desk.post("/create-image/note", NAME)
    stage.repository.has("aula/ubuntu", 3000, locked=True)
    assert "is being worked on" in await desk.post("/create-image/note", NAME)


# --- the order --------------------------------------------------------------------------------------------------------


async def test_a_button_is_a_call(desk: Desk) -> None:
    said = await desk.post("/create-image", CLIENT, PLACE, NAME, TEXT)
    ((path, members),) = desk.asked
    assert path == "/CloningEngine/CrearImagen"
    assert (members["nci"], members["idi"], members["dsk"], members["par"]) == ("aula/ubuntu", ID, "1", "1")
    assert JOB in said
    assert 'href="/traces/1"' in said
    page = await desk.get("/traces/1")
    assert "Create image: aula/ubuntu ← pc1" in page
    assert "With LibreOffice\nand Gimp" in page


@pytest.mark.parametrize("path", ["/create-image", "/create-image/plan"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([CLIENT, NAME], "Select a partition."),
        ([PLACE, NAME], "Select a partition."),
        ([CLIENT, PLACE], "A name is made of letters"),
        ([CLIENT, PLACE, ("image", "a/b/c")], "A name is made of letters"),
        ([CLIENT, PLACE, ("image", "x" * 201)], "underscores, 200 at most"),
        ([CLIENT, PLACE, NAME, ("description", "x" * 2001)], "length &lt;= 2000"),
    ],
)
async def test_what_is_missing_is_said_and_nothing_asked(
    desk: Desk, path: str, fields: list[tuple[str, str]], said: str
) -> None:
    assert said in await desk.post(path, *fields)
    assert desk.asked == []


async def test_a_name_that_is_taken_has_to_be_confirmed(desk: Desk, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE)
    for replace in ("", "another", "on"):
        said = await desk.post("/create-image", CLIENT, PLACE, NAME, ("replace", replace))
        assert "Replace aula/ubuntu?" in said
        assert "The image there now is kept as the previous version." in said
        assert "2.0 KiB, is lost" in said
    assert desk.asked == []
    assert JOB in await desk.post("/create-image", CLIENT, PLACE, NAME, ("replace", "aula/ubuntu"))


async def test_a_dry_run_says_what_comes_from_where_and_what_it_replaces(desk: Desk, stage: Stage) -> None:
    stage.agent.answer = (200, PLAN)
    said = await desk.post("/create-image/plan", CLIENT, PLACE, NAME)
    assert desk.asked[0][0] == "/plan"
    for text in ("Disk 1, partition 1, EXT4, 40 MiB in use", "/dev/sda1", PLAN["destination"], "An image of 2.9 KiB."):
        assert text in said
    assert "<strong>The image there now is kept as the previous version.</strong>" in said
    assert "900 MiB in the repository" in said
    assert "Made as small as it can be" in said
    assert "<li>&lt;b&gt;Windows&lt;/b&gt; was not shut down</li>" in said
    least: Members = {"used": None, "replaces": None, "room": None, "reduce": False, "warnings": []}
    stage.agent.answer = (200, PLAN | least)
    said = await desk.post("/create-image/plan", CLIENT, PLACE, NAME)
    assert "Nothing: no image has this name." in said
    assert "Stays as it is." in said
    assert "None" not in said


@pytest.mark.parametrize("plan", [{"x": 1}, PLAN | {"target": None}, PLAN | {"used": "all"}])
async def test_a_plan_of_another_shape_is_none(desk: Desk, stage: Stage, plan: Members) -> None:
    stage.agent.answer = (200, plan)
    assert "cannot be read" in await desk.post("/create-image/plan", CLIENT, PLACE, NAME)


async def test_a_refusal_is_shown_with_its_hint(desk: Desk, stage: Stage) -> None:
    stage.agent.answer = (409, {"error": "partition 1 is <mounted>", "code": "target-mounted", "hint": "unmount it"})
    for path in ("/create-image", "/create-image/plan"):
        said = await desk.post(path, CLIENT, PLACE, NAME)
        assert "partition 1 is &lt;mounted&gt;" in said
        assert "unmount it" in said


async def test_a_trace_shows_what_was_made(desk: Desk) -> None:
    await created(desk.room)
    page = await desk.get("/traces/1")
    for text in (
        "Successfully created",
        "<dd>Ubuntu 24.04</dd>",
        "<dd>EXT4</dd>",
        "2.9 KiB",
        "8.8 KiB",
        FOUND["digest"],
    ):
        assert str(text) in page
    assert "1/2" in await desk.get("/traces")


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_an_image_is_listed_with_what_is_known_of_it(desk: Desk, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000)
    await created(desk.room)
    page = await desk.get("/images")
    for text in (
        "Successfully created",
        "With LibreOffice",
        "Ubuntu 24.04",
        "EXT4",
        "2.9 KiB",
        "8.8 KiB",
        "<dd>pc1</dd>",
    ):
        assert text in page
    assert str(FOUND["digest"]) in page
    assert "Previous version" not in page


async def test_a_previous_version_is_put_back(desk: Desk, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE)
    page = await desk.get("/images")
    assert "Previous version: 2.0 KiB, 2026-11-01" in page
    assert 'hx-confirm="Put back the previous version of aula/ubuntu?' in page
    assert "is in its place again" in await desk.post("/images/put-back", NAME)
    assert stage.repository.asked == [("aula/ubuntu", f"Bearer {TOKEN}")]
    stage.repository.refuses = 409
    assert "aula/ubuntu is being worked on" in await desk.post("/images/put-back", NAME)
    await desk.post("/images/put-back")  # without a name


@pytest.mark.parametrize(("token", "locked"), [("", False), (TOKEN, True)])
async def test_where_it_cannot_be_put_back_there_is_no_button(
    stage: Stage, aiohttp_client: AiohttpClient, token: str, locked: bool
) -> None:
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE, locked=locked)
    desk = await sit_down(await stage.room(token), aiohttp_client)
    page = await desk.get("/images")
    assert "Previous version: 2.0 KiB" in page
    assert "/images/put-back" not in page
    assert ("being worked on" in page) == locked


async def test_without_the_repository_nothing_is_ordered(desk: Desk, stage: Stage) -> None:
    stage.repository.down = True
    assert "does not answer" in await desk.get("/clients/pc1/create-image")
    assert "does not answer" in await desk.post("/create-image", CLIENT, PLACE, NAME)
    assert "does not answer" in await desk.post("/images/put-back", NAME)
    assert desk.asked == []
