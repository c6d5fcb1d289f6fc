"""The console's buttons for the functions of an agent, down to what the agent is asked."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from simulator.ogcore.console import figures
from simulator.ogcore.console.app import console_app
from tests.simulator.ogcore_room import JOB, PROGRESS, STOPPED, Members, Room
from tests.simulator.test_commands import HARDWARE, OUTPUT, SOFTWARE, done, give, job_of

MIB = 1 << 20
DISK = {
    "disk": 1,
    "size": 1000 * MIB,
    "table": "gpt",
    "partitions": [
        {"partition": 1, "start": MIB, "size": 100 * MIB, "code": "EF00", "filesystem": "vfat"},
        {"partition": 2, "start": 101 * MIB, "size": 500 * MIB, "code": "8300", "filesystem": "ext4", "os": "Ubuntu"},
        {"partition": 4, "start": 799 * MIB, "size": 200 * MIB, "code": "CA00", "filesystem": "ext4", "cache": True},
    ],
}
PLAN = {
    "partitions": [
        {"number": 1, "start": MIB, "size": 100 * MIB, "code": "EF00", "fate": "kept", "name": "EFI"},
        {"number": 2, "size": 300 * MIB, "fate": "emptied", "filesystem": "EXT4", "name": "<i>Linux</i>"},
    ],
    "before": [{"partition": 1, "size": 100 * MIB, "filesystem": "vfat"}],
    "lost": [{"partition": 2, "size": 300 * MIB}, {"partition": 3, "size": 7 * MIB, "filesystem": "ntfs"}],
}


class Desk:
    """``post`` as a page of the console does it."""

    def __init__(self, room: Room, console: TestClient[web.Request, web.Application]) -> None:
        self.room = room
        self.console = console

    async def get(self, path: str) -> str:
        async with self.console.get(path) as response:
            assert response.status == 200
            return await response.text()

    async def post(self, path: str, *fields: tuple[str, str], status: int = 200) -> str:
        headers = {"Origin": str(self.console.make_url("")).rstrip("/")}
        async with self.console.post(path, data=list(fields), headers=headers) as response:
            assert response.status == status
            return await response.text()

    @property
    def asked(self) -> list[tuple[str, Members]]:
        return [(path, json.loads(body)) for path, body, _ in self.room.agent.asked if body]


@pytest.fixture
async def desk(room: Room, aiohttp_client: AiohttpClient) -> Desk:
    """``pc1`` is in ogLive, ``pc2`` is off."""
    room.agent.disks = {"disks": [DISK]}
    await room.start()
    url, tls = str(room.ogcore.make_url("")).rstrip("/"), ssl.create_default_context()
    console: TestClient[web.Request, web.Application] = await aiohttp_client(console_app(ogcore=url, ogcore_tls=tls))
    return Desk(room, console)


PC1, PC2, PLACE = ("client", "pc1"), ("client", "pc2"), ("place", "1/2")


@pytest.mark.parametrize(
    ("function", "fields", "members"),
    [
        ("Actualizar", [], {}),
        ("Reiniciar", [], {}),
        ("Apagar", [], {}),
        ("InventarioHardware", [], {}),
        ("InventarioSoftware", [PLACE], {"dsk": "1", "par": "2"}),
        ("IniciarSesion", [PLACE], {"dsk": "1", "par": "2"}),
        ("EjecutarScript", [("scp", "#!/bin/sh\r\nid\r\n")], {"scp": "#!/bin/sh\nid\n"}),
        ("EjecutarScript", [("scp", "ls%20")], {"scp": "ls%20\n"}),  # with a blank in it, it is not decoded
    ],
)
async def test_a_button_is_a_call(desk: Desk, function: str, fields: list[tuple[str, str]], members: Members) -> None:
    desk.room.agent.answer = (200, {"job_id": job_of(function)})
    said = await desk.post(f"/orders/{function}", PC1, PC2, PC1, *fields)
    assert desk.asked == [(f"/CloningEngine/{function}", members | {"nfn": function, "ids": "1"})]
    assert job_of(function) in said
    assert 'href="/traces/1"' in said
    assert "pc2 is off" in said


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/orders/Apagar", [], "Select at least one client."),
        ("/orders/IniciarSesion", [PC1], "Select at least one client and a partition."),
        ("/orders/EjecutarScript", [PC1, ("scp", " \r\n")], "write a script."),
        ("/partitions", [PC1], "Select at least one client and a disk."),
        ("/partitions/plan", [("disk", "1")], "Select at least one client and a disk."),
        ("/partitions", [PC1, ("disk", "1")], "There is no partition in this table."),
    ],
)
async def test_what_is_missing_is_said_and_nothing_asked(
    desk: Desk, path: str, fields: list[tuple[str, str]], said: str
) -> None:
    assert said in await desk.post(path, *fields)
    assert desk.asked == []


async def test_there_is_no_button_for_anything_else(desk: Desk) -> None:
    await desk.post("/orders/KillJob", PC1, status=404)
    await desk.post("/orders/RestaurarImagen", PC1, status=404)


async def test_a_refusal_is_shown_with_its_hint(desk: Desk) -> None:
    desk.room.agent.answer = (409, {"error": "the machine is <busy>", "code": "machine-busy", "hint": "wait for job 5"})
    said = await desk.post("/orders/Reiniciar", PC1)
    assert "the machine is &lt;busy&gt;" in said
    assert "wait for job 5" in said
    assert "machine-busy" in said
    assert "wait for job 5" in await desk.get("/traces/1")


async def test_clients_without_a_partition_are_not_taken_for_none(desk: Desk) -> None:
    for page in ("/deploy", "/commands", "/deploy/places"):
        assert "Select a client first" in await desk.get(page)
        assert "None of the selected clients has a partition" in await desk.get(f"{page}?client=pc2")
    assert "None of the selected clients has a partition" in await desk.get("/clients/pc2/inventory")


@pytest.mark.parametrize("change", ["layout", "clients", "rows", "rows?remove=0", "drawing"])
async def test_while_ogcore_is_away_a_form_stays_as_it_is(desk: Desk, change: str) -> None:
    """htmx replaces nothing then, neither the partition that was chosen nor the table that was typed."""
    await desk.room.ogcore.close()
    assert await desk.post(f"/partitions/{change}", *typed(LINUX), status=204) == ""
    assert (await desk.console.get("/deploy/places?client=pc1&place=1/4")).status == 204


async def test_a_deployment_that_is_refused_was_not_accepted(desk: Desk) -> None:
    """A busy agent says with whose job, which is that of another order."""
    desk.room.agent.answer = (409, {"error": "disk 1 is in use", "hint": "wait", "code": "disk-busy", "job_id": JOB})
    said = await desk.post("/deploy", PC1, PLACE, ("image", "image-test"))
    assert "accepted" not in said
    for text in ("disk 1 is in use", "wait", "disk-busy", 'href="/traces/1"'):
        assert text in said


async def test_the_partition_that_was_chosen_stays_chosen(desk: Desk) -> None:
    """Also when the clients become others; nothing else is chosen in its place, since that would be overwritten."""
    places = "/deploy/places?client=pc1"
    assert re.findall(r'value="([^"]*)" selected', await desk.get(places)) == ["1/2"]
    assert re.findall(r'value="([^"]*)" selected', await desk.get(f"{places}&place=1/4")) == ["1/4"]
    for gone in ("2/2", ""):
        said = await desk.get(f"{places}&place={gone}")
        assert re.findall(r'value="([^"]*)" selected', said) == [""]
        assert "Choose again" in said
    assert "Choose again" not in await desk.get("/deploy/places?place=1/2")


async def test_output_is_shown_and_does_nothing(desk: Desk) -> None:
    await give(desk.room, "EjecutarScript", {"scp": "ip link"})
    await done(desk.room, "EjecutarScript", {"out": OUTPUT, "code": "0"})
    page = await desk.get("/traces/1")
    assert "&lt;b&gt;eth0&lt;/b&gt;\n\N{SYMBOL FOR ESCAPE}[1mup" in page
    assert "exit status 0" in page
    assert "ip link" in page


async def test_of_a_pc_that_is_off_the_last_report_is_told(desk: Desk) -> None:
    """What it fetched a second then says nothing of when it ends."""
    room, pages = desk.room, ("/", "/clients/pc1", "/traces", "/traces/1")
    await room.deploy()
    await room.report(PROGRESS | {"eta_s": 254})
    await room.wait_for_state("og-live")
    assert (await room.trace())["silent_since"] == ""
    for path in pages:
        assert "254 s left" in await desk.get(path)
    await room.tell(STOPPED, {"ip": "127.0.0.1"})
    trace = await room.trace()
    assert trace["silent_since"] == trace["reports"][-1]["received"]
    for path in pages:
        page = await desk.get(path)
        assert f"no report since {figures.clock(trace['silent_since'])}; it ends when the PC is back" in page
        assert "254 s left" not in page
    await room.start()
    assert (await room.trace())["silent_since"] == ""


async def test_inventories_are_tables(desk: Desk) -> None:
    assert (await desk.get("/clients/pc1/inventory")).count("Nobody has asked for it yet.") == 2
    await done(desk.room, "InventarioHardware", {"hrd": HARDWARE}, ids="0")
    for partition, text in (("2", SOFTWARE), ("3", "Windows 11\n")):
        own = {"dsk": "1", "par": partition, "sft": text}
        await done(desk.room, "InventarioSoftware", own, ids="0", job_id=f"InventarioSoftware-0000000{partition}")
    page = await desk.get("/clients/pc1/inventory?place=1/2")
    for text in ("<td>Processor</td><td>Intel Core i5-9500 x6</td>", "Ubuntu 24.04", "<td>Mozilla Firefox</td>"):
        assert text in page
    assert "Windows 11" in await desk.get("/clients/pc1/inventory?place=1/3")


async def test_what_an_agent_depends_on_is_shown(desk: Desk) -> None:
    """As it finds it now, with what to do."""
    assert "/clients/pc1/check" in await desk.get("/clients/pc1")
    said = await desk.get("/clients/pc1/check")
    assert "Nothing keeps it from working." in said
    assert "<td>Python</td><td>good</td><td>3.11.2</td>" in said
    row = {"what": "<CACHE>", "state": "problem", "said": "no disk has one", "hint": "partition a disk"}
    desk.room.agent.check = {"ok": False, "checks": [row]}
    said = await desk.get("/clients/pc1/check")
    assert "There are problems." in said
    assert "<td>&lt;CACHE&gt;</td><td>problem</td><td>no disk has one</td><td>partition a disk</td>" in said


async def test_an_agent_that_cannot_say_what_it_depends_on(desk: Desk) -> None:
    desk.room.agent.check = {"checks": 5}
    assert "pc1 cannot tell at /capabilities" in await desk.get("/clients/pc1/check")
    assert "there is no such client" in await desk.get("/clients/nobody/check")


# --- the partition assistant ------------------------------------------------------------------------------------------


def typed(*rows: dict[str, Any], table: str = "GPT") -> list[tuple[str, str]]:
    """The fields of the form."""
    fields = [PC1, ("disk", "1"), ("table", table), ("rows", " ".join(str(place) for place, _ in enumerate(rows)))]
    return fields + [(f"{name}-{place}", str(value)) for place, row in enumerate(rows) for name, value in row.items()]


LINUX = {"number": 2, "kind": "LINUX", "filesystem": "EXT4", "size": "300", "format": "on"}
CACHE = {"number": 4, "kind": "CACHE", "filesystem": "EXT4", "size": "199.5"}


async def test_a_table_is_ordered_as_it_is_typed(desk: Desk) -> None:
    desk.room.agent.answer = (200, {"job_id": job_of("Configurar")})
    await desk.post("/partitions", *typed(LINUX, CACHE))
    ((path, members),) = desk.asked
    assert path == "/CloningEngine/Configurar"
    assert members == {
        "nfn": "Configurar",
        "ids": "1",
        "dsk": "1",
        "cfg": [
            {"dis": "1", "ttp": "GPT", "che": "1"},
            {"par": "2", "cpt": "LINUX", "sfi": "EXT4", "tam": "307200", "ope": "1"},
            {"par": "4", "cpt": "CACHE", "sfi": "EXT4", "tam": "204288", "ope": "0"},
        ],
    }


async def test_a_dry_run_is_a_table(desk: Desk) -> None:
    desk.room.agent.answer = (200, PLAN)
    said = await desk.post("/partitions/plan", *typed(LINUX))
    assert desk.asked[0][0] == "/plan"
    rows = [[cell.strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in said.split("<tr>")[2:]]
    assert [[re.sub("<[^>]*>", "", cell) for cell in row] for row in rows] == [
        ["1", "EFI", "VFAT", "100 MiB", "kept"],
        ["2", "&lt;i&gt;Linux&lt;/i&gt;", "EXT4", "300 MiB", "emptied"],
        ["3", "\N{EN DASH}", "NTFS", "7 MiB", "removed"],
    ]
    assert "Content that would be lost: partition 2 (\N{EN DASH}, 300 MiB), partition 3 (ntfs, 7 MiB)" in said


@pytest.mark.parametrize("plan", [{"partitions": []}, {"partitions": [{}]}, {"partitions": [{"fate": "eaten"}]}])
async def test_a_plan_of_another_shape_is_a_table_too(desk: Desk, plan: Members) -> None:
    desk.room.agent.answer = (200, plan)
    assert "<table>" in await desk.post("/partitions/plan", *typed(LINUX))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([LINUX, LINUX], "Each partition needs a number of its own."),
        ([LINUX | {"number": "x"}], "Each partition needs a number of its own."),
        ([LINUX | {"size": ""}, LINUX | {"number": 3}], "Only the last partition can have the rest of the disk."),
    ],
)
async def test_what_makes_no_table_is_said(desk: Desk, rows: list[dict[str, Any]], said: str) -> None:
    assert said in await desk.post("/partitions/drawing", *typed(*rows))
    assert said in await desk.post("/partitions", *typed(*rows))
    assert desk.asked == []


async def test_the_drawing_says_what_is_left(desk: Desk) -> None:
    assert "498 MiB free" in await desk.post("/partitions/drawing", *typed(LINUX, CACHE | {"size": "200"}))
    rest = await desk.post("/partitions/drawing", *typed(LINUX | {"size": ""}, CACHE | {"size": "200"}))
    assert "798 MiB for the partition that has the rest" in rest
    much = await desk.post("/partitions/drawing", *typed(LINUX | {"size": "1000"}, table="MSDOS"))
    assert "1 MiB too much for this disk" in much


async def test_the_assistant_begins_with_what_is_there(desk: Desk) -> None:
    page = await desk.get("/partitions?client=pc1")
    assert re.findall(r'name="number-\d+"[^>]*value="(\d+)"', page) == ["1", "2", "4"]
    assert re.findall(r'name="size-\d+"[^>]*value="([\d.]+)"', page) == ["100", "500", "200"]
    assert not re.search(r'name="format-\d+" checked', page)


async def test_other_clients_take_nothing_of_what_is_typed_away(desk: Desk) -> None:
    """Another disk or another layout does."""
    kept = await desk.post("/partitions/clients", *typed(LINUX, CACHE), ("layout", "linux"))
    assert re.findall(r'name="size-\d+"[^>]*value="([\d.]+)"', kept) == ["300", "199.5"]
    assert re.findall(r'name="format-(\d+)" checked', kept) == ["0"]
    assert 'value="linux" selected' in kept
    anew = await desk.post("/partitions/layout", *typed(LINUX, CACHE), ("layout", "as-is"))
    assert re.findall(r'name="size-\d+"[^>]*value="([\d.]+)"', anew) == ["100", "500", "200"]
    first = await desk.post("/partitions/clients", PC1)
    assert re.findall(r'name="size-\d+"[^>]*value="([\d.]+)"', first) == ["100", "500", "200"]


async def test_clients_without_disks_have_no_table(desk: Desk) -> None:
    for clients in ((), (PC2,)):
        for change in ("layout", "clients"):
            said = await desk.post(f"/partitions/{change}", *clients, ("layout", "linux"), ("disk", "1"), ("rows", "0"))
            assert 'name="rows"' not in said
    assert "Select a client" in await desk.get("/partitions")
