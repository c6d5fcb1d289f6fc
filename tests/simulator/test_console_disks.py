"""Pages that show disks: such as are not as they should be, and such as differ."""

from __future__ import annotations

import re
import ssl

import msgspec
import pytest
from aiohttp import web
from msgspec.structs import replace
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from simulator.ogcore.console import figures
from simulator.ogcore.console.app import console_app
from simulator.ogcore.views import ClientList, ClientView, DiskView, InventoryView, PartitionView, TraceList

MIB = 1 << 20
INTO = "it shares bytes with partition 4, the CACHE"
WHOLE = "it holds encrypted data (crypto_LUKS) on the whole disk, and no partitions"
PARTS = (
    PartitionView(partition=1, start=MIB, size=40 * MIB, problem=INTO),
    PartitionView(partition=3, start=90 * MIB, size=1 << 60, problem="it reaches beyond the end of the disk"),
    PartitionView(partition=4, start=30 * MIB, size=20 * MIB, cache=True, problem="it shares bytes with partition 1"),
)
DISKS = (
    DiskView(disk=1, size=100 * MIB, table="msdos", partitions=PARTS),
    DiskView(disk=2, size=100 * MIB, problem=WHOLE),
    DiskView(disk=3, size=0, problem="it cannot be read: <Input/output error>"),
)
SMALL = DiskView(disk=1, size=50 * MIB, table="gpt", partitions=(PartitionView(partition=2, start=MIB, size=40 * MIB),))
CLIENT = ClientView(name="pc1", mac="", ip="127.0.0.1", port=8000, centre="Demo", room="Aula", state="og-live")


async def page_of(aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient, path: str) -> str:
    """The console's, before an ogCore that knows one client."""
    answers = {
        "/clients": ClientList(clients=(CLIENT, replace(CLIENT, name="pc2"), replace(CLIENT, name="pc3"))),
        "/clients/pc1": CLIENT,
        "/clients/pc1/disks": InventoryView(read="2026-11-24T10:00:00.000Z", current=True, disks=DISKS),
        "/clients/pc2/disks": InventoryView(disks=(SMALL,)),
        "/clients/pc3/disks": InventoryView(disks=(SMALL,)),
        "/traces": TraceList(traces=()),
    }

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(answers[request.path]))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    ogcore = await aiohttp_server(app)
    tls = ssl.create_default_context()
    console = await aiohttp_client(console_app(ogcore=str(ogcore.make_url("")).rstrip("/"), ogcore_tls=tls))
    async with console.get(path) as response:
        assert response.status == 200
        return await response.text()


async def test_a_clients_page_says_what_is_wrong(aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> None:
    page = await page_of(aiohttp_server, aiohttp_client, "/clients/pc1")
    assert INTO in page
    assert page.count("shares bytes") == 2
    assert f"<strong>Not usable:</strong> {WHOLE}" in page
    assert "&lt;Input/output error&gt;" in page


@pytest.mark.parametrize(
    ("clients", "said"), [(("pc1", "pc2"), ["pc2"]), (("pc2", "pc3"), []), (("pc1", "pc2", "pc3"), ["pc2"])]
)
async def test_whose_table_it_is_when_they_differ(
    aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient, clients: tuple[str, ...], said: list[str]
) -> None:
    query = "&".join(f"client={name}" for name in clients)
    page = await page_of(aiohttp_server, aiohttp_client, f"/partitions?{query}")
    assert re.findall(r"The tables of these PCs differ; this is that of (\w+)\.", page) == said


def test_a_partition_is_not_drawn_larger_than_its_disk() -> None:
    widths = {each.partition.partition: each.width for each in figures.segments(DISKS[0]) if each.partition}
    assert widths[1] > widths[4] > widths[3]


@pytest.mark.parametrize("disk", [*DISKS, DiskView(disk=4, size=0, partitions=PARTS)], ids=lambda disk: str(disk.disk))
def test_a_drawing_stays_inside_its_frame(disk: DiskView) -> None:
    drawn = figures.segments(disk)
    assert {part.partition for part in disk.partitions} <= {
        each.partition.partition for each in drawn if each.partition
    }
    assert all(0 <= each.x <= each.x + each.width <= 1001 for each in drawn)
