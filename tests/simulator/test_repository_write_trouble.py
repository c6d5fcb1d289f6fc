"""What goes wrong with uploads and moves, on demand, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app
from tests.simulator.repository_writer import (
    DATA,
    HALF,
    PART,
    PREFIX,
    SIZE,
    TOKEN,
    Client,
    Faults,
    asked,
    connected,
    files,
    move,
    put,
    status,
    until,
)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def client(faults: Faults, tmp_path: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(tmp_path, faults=faults, token=TOKEN))


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 16):
        yield data[start : start + (1 << 16)]


@pytest.mark.parametrize("place", ["0", "1", "50%", "100%"])
async def test_full(client: Client, faults: Faults, tmp_path: Path, place: str) -> None:
    faults.become(f"repository:full@{place}")
    assert await put(client, "X.img", DATA) == 507
    assert files(tmp_path) == {}
    faults.become()
    assert await put(client, "X.img", DATA) == 201


async def test_full_is_not_for_what_ends_before(client: Client, faults: Faults, tmp_path: Path) -> None:
    faults.become("repository:full@100")
    assert await put(client, "X.img.info", DATA[:99]) == 201
    assert await put(client, "X.img", pieces(DATA)) == 507
    assert files(tmp_path) == {"X.img.info": DATA[:99]}


@pytest.mark.parametrize("place", ["0", "4097", "50%", "100%"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_cut_upload(client: Client, faults: Faults, tmp_path: Path, place: str, chunked: bool) -> None:
    """Of an upload in chunks a share is one of 1 MiB, which is its length here."""
    faults.become(f"repository:upload-cut@{place}")
    with pytest.raises(aiohttp.ClientError):
        await put(client, "X.img", pieces(DATA) if chunked else DATA)
    await until(lambda: files(tmp_path) == {})


async def test_down_in_the_middle_of_an_upload(client: Client, faults: Faults, tmp_path: Path) -> None:
    faults.become("repository:upload-stall@50%")
    upload = asyncio.ensure_future(put(client, "X.img", DATA))
    await until(lambda: HALF in map(len, files(tmp_path).values()))
    faults.become("repository:down")
    with pytest.raises(aiohttp.ClientError):
        await upload
    await until(lambda: files(tmp_path) == {})


async def test_a_stalled_upload_goes_on_when_it_is_healed(client: Client, faults: Faults, tmp_path: Path) -> None:
    faults.become("repository:upload-stall@50%")
    asked_before = faults.asked
    upload = asyncio.ensure_future(put(client, "X.img", DATA))
    await until(lambda: HALF in map(len, files(tmp_path).values()) and faults.asked > asked_before + 20)
    assert [len(content) for content in files(tmp_path).values()] == [HALF], "no more is taken"
    assert not upload.done(), "the connection stays open"
    faults.become()
    assert await upload == 201
    assert files(tmp_path) == {"X.img": DATA}


async def test_a_client_that_leaves_a_stalled_upload(client: Client, faults: Faults, tmp_path: Path) -> None:
    faults.become("repository:upload-stall@5")
    head = f"PUT {PREFIX}/X.img HTTP/1.1\r\nContent-Length: {SIZE}"
    _, writer = await connected(client.port, head, DATA[:10])
    await until(lambda: 5 in map(len, files(tmp_path).values()))
    writer.close()
    await until(lambda: files(tmp_path) == {})


async def test_slow_until_it_is_healed(client: Client, faults: Faults, tmp_path: Path) -> None:
    """At that rate the whole would take days."""
    faults.become("repository:upload-slow=5")
    upload = asyncio.ensure_future(put(client, "X.img", DATA))
    await until(lambda: any(map(len, files(tmp_path).values())))
    assert max(map(len, files(tmp_path).values())) < HALF
    faults.become()
    async with asyncio.timeout(300):
        assert await upload == 201
    assert files(tmp_path) == {"X.img": DATA}


@pytest.mark.parametrize("place", ["0", "4096", "50%"])
async def test_a_bit_is_stored_as_another(client: Client, faults: Faults, tmp_path: Path, place: str) -> None:
    faults.become(f"repository:upload-spoiled@{place}")
    at = HALF if place == "50%" else int(place)
    assert await put(client, "X.img", DATA) == 201
    stored = (tmp_path / "X.img").read_bytes()
    assert stored == DATA[:at] + bytes((DATA[at] ^ 1,)) + DATA[at + 1 :]


@pytest.mark.parametrize("name", ["X.img", PART, "X.img.ant"])
async def test_half_is_kept_and_nothing_said(client: Client, faults: Faults, tmp_path: Path, name: str) -> None:
    faults.become("repository:keeps-half")
    assert await put(client, name, pieces(DATA)) == 201
    assert await put(client, "X.img.sum", b"whole") == 201
    assert files(tmp_path) == {name: DATA[:HALF], "X.img.sum": b"whole"}


@pytest.mark.parametrize("beside", ["X.img.full.sum", "X.img.lock", PART + ".index", "X.img.ant.sum"])
async def test_sidecars_are_refused(client: Client, faults: Faults, tmp_path: Path, beside: str) -> None:
    faults.become("repository:sidecars-refused")
    assert await put(client, beside, b"text") == 500
    assert await put(client, PART, DATA) == 201
    assert await put(client, "X.img", DATA) == 201
    assert files(tmp_path) == {PART: DATA, "X.img": DATA}


async def test_a_move_that_is_not_one(client: Client, faults: Faults, tmp_path: Path) -> None:
    await put(client, "X.img", DATA)
    faults.become("repository:move-ignored")
    assert await move(client, "X.img", "Y.img") == 204
    assert files(tmp_path) == {"X.img": DATA}
    assert await move(client, "X.img", "Y.img", "COPY") == 201, "a copy is no move"


async def test_a_move_to_somewhere_else(client: Client, faults: Faults, tmp_path: Path) -> None:
    await put(client, "X.img", DATA)
    faults.become("repository:move-elsewhere")
    assert await move(client, "X.img", "Y.img") == 201
    assert files(tmp_path) == {"elsewhere-Y.img": DATA}


@pytest.mark.parametrize("code", [400, 403, 413, 423, 500, 503, 507])
@pytest.mark.parametrize("method", ["PUT", "MOVE", "COPY", "DELETE", "PROPFIND", "POST"])
async def test_a_status_of_all_that_write(
    client: Client, faults: Faults, tmp_path: Path, method: str, code: int
) -> None:
    (tmp_path / "X.img").write_bytes(DATA)
    faults.become(f"repository:write-status={code}")
    name = "/X.img/put-back" if method == "POST" else "/X.img"
    assert (await asked(client, method, name, DATA, {"Destination": f"{PREFIX}/Y.img", "Depth": "0"}))[0] == code
    assert files(tmp_path) == {"X.img": DATA}
    assert await status(client, "GET", "/X.img") == 200


async def test_a_status_tells_nothing_to_one_without_the_token(client: Client, faults: Faults) -> None:
    faults.become("repository:write-status=423")
    async with client.put(f"{PREFIX}/X.img", data=DATA) as response:
        assert response.status == 401


@pytest.mark.parametrize(("fault", "code"), [("status=503", 503), ("redirect=outside", 302)])
async def test_what_goes_wrong_with_every_call(
    client: Client, faults: Faults, tmp_path: Path, fault: str, code: int
) -> None:
    faults.become(f"repository:{fault}")
    async with client.put(f"{PREFIX}/X.img", data=DATA, allow_redirects=False) as response:
        assert response.status == code
    assert files(tmp_path) == {}
