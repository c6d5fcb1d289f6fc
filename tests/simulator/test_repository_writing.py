"""The repository is written to over a real socket: what each method does, under which names, and who may."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app
from tests.simulator.repository_writer import (
    BEARER,
    DATA,
    PART,
    PREFIX,
    TOKEN,
    Client,
    asked,
    files,
    move,
    put,
    raw_status,
    status,
)

WRITING = ["PUT", "MOVE", "COPY", "DELETE", "PROPFIND", "POST"]
SUFFIXES = ["", ".full.sum", ".index", ".index.sig", ".info", ".sum"]
KEPT = [
    *(f"X.img{suffix}" for suffix in SUFFIXES),
    *(f"X.img.ant{suffix}" for suffix in SUFFIXES),
    *(PART + suffix for suffix in SUFFIXES),
    "X.img.lock",
    "aula/X.img",
    f"{PART}.ant",
    f"aula/{PART}",
    "aula/X.img.ant.index.sig",
]
FOREIGN = [
    "X",
    "X.iso",
    ".X.img",
    "X.img.exe",
    "X.img.lock.sum",
    "X.img.ant.lock",
    "X.img.ant.ant",
    "a/b/X.img",
    "ñ.img",
    ".X.img.CrearImagen.part",
    ".X.img.CrearImagen-1a2b3c4d.part.lock",
    ".davfs.tmp0011223344556677",
]
LEADING_OUT = [
    "/../secret.img",
    "/%2e%2e/secret.img",
    "/..%2fsecret.img",
    "//etc/X.img",
    "/a/../../secret.img",
    "/%00.img",
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    (images / "X.img").write_bytes(b"first")
    (tmp_path / "secret.img").write_bytes(b"secret")
    return images


@pytest.fixture
async def client(images: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(images, token=TOKEN))


# --- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", WRITING)
@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": f"Bearer {TOKEN}x"}, 403),
        ({"Authorization": "Bearer \udcff"}, 403),
        ({"Authorization": "Bearer"}, 403),
    ],
)
async def test_without_the_token_nothing_changes(
    client: Client, images: Path, method: str, shown: dict[str, str], expected: int
) -> None:
    headers = {**shown, "Destination": f"{PREFIX}/Y.img", "Depth": "0"}
    path = f"{PREFIX}/X.img" + "/put-back" * (method == "POST")
    before = files(images)
    async with client.request(method, path, headers=headers, data=DATA) as response:
        assert response.status == expected
        assert response.headers.get("WWW-Authenticate") == ("Bearer" if expected == 401 else None)
        assert TOKEN not in await response.text()
    assert files(images) == before


@pytest.mark.parametrize("method", WRITING)
async def test_a_repository_without_a_token_is_not_written_to(
    images: Path, aiohttp_client: AiohttpClient, method: str
) -> None:
    client = await aiohttp_client(repository_app(images))
    for shown in (BEARER, {"Authorization": "Bearer "}, {}):
        async with client.request(method, f"{PREFIX}/X.img", headers=shown) as response:
            assert response.status == 403
    assert files(images) == {"X.img": b"first"}


async def test_the_token_is_not_taken_from_a_url(client: Client) -> None:
    async with client.put(f"{PREFIX}/Y.img?token={TOKEN}&access_token={TOKEN}", data=b"new") as response:
        assert response.status == 401


async def test_reading_needs_no_token(client: Client) -> None:
    async with client.get(f"{PREFIX}/X.img") as image, client.get(PREFIX) as catalogue:
        assert (image.status, catalogue.status) == (200, 200)


# --- PUT --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEPT)
async def test_what_is_put_is_there(client: Client, images: Path, name: str) -> None:
    (images / "X.img").unlink()
    assert await put(client, name, DATA) == 201
    assert (images / name).read_bytes() == DATA
    async with client.head(f"{PREFIX}/{name}") as head, client.get(f"{PREFIX}/{name}") as got:
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(DATA)))
        assert await got.read() == DATA
    assert await put(client, name, b"again") == 204
    assert [content for content in files(images).values() if content] == [b"again"]


@pytest.mark.parametrize("name", FOREIGN)
async def test_no_other_name_is_written(client: Client, images: Path, name: str) -> None:
    assert await put(client, name, DATA) == 403
    assert await move(client, "X.img", name) == 403
    assert await move(client, "X.img", name, "COPY") == 403
    assert await status(client, "DELETE", f"/{name}") == 403
    assert files(images) == {"X.img": b"first"}


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "MOVE"])
async def test_no_name_leads_out(client: Client, images: Path, tmp_path: Path, method: str, name: str) -> None:
    head = f"{method} {PREFIX}{name} HTTP/1.1\r\nContent-Length: 0\r\nDestination: {PREFIX}/Z.img"
    assert await raw_status(client, head) in (403, 404)
    assert files(tmp_path) == {"images/": b"", "images/X.img": b"first", "secret.img": b"secret"}


async def test_no_link_leads_out(client: Client, images: Path, tmp_path: Path) -> None:
    (images / "link.img").symlink_to(tmp_path / "secret.img")
    (images / "new.img").symlink_to(tmp_path / "absent.img")
    (tmp_path / "outside").mkdir()
    (images / "folder").symlink_to(tmp_path / "outside")
    for name in ("link.img", "new.img", "folder/X.img"):
        assert await put(client, name, DATA) == 403
        assert await move(client, "X.img", name) == 403
        assert await move(client, name, "Y.img", "COPY") == 403
        assert await status(client, "DELETE", f"/{name}") == 403
        assert await status(client, "POST", f"/{name}/put-back") == 403
    assert await status(client, "PROPFIND", "/folder/", depth="0") == 404
    assert (tmp_path / "secret.img").read_bytes() == b"secret"
    assert not any((tmp_path / "outside").iterdir())
    assert not (tmp_path / "absent.img").exists()


@pytest.mark.parametrize("header", ["Content-Range", "Content-Encoding"])
async def test_a_part_is_no_file(client: Client, images: Path, header: str) -> None:
    word = {"Content-Range": "bytes 0-2/5", "Content-Encoding": "x-own"}[header]
    assert (await asked(client, "PUT", "/X.img", b"new", {header: word}))[0] == 400
    assert files(images) == {"X.img": b"first"}


async def test_where_a_directory_has_the_name(client: Client, images: Path) -> None:
    (images / "D.img").mkdir()
    (images / "file").write_bytes(b"")
    assert await put(client, "D.img", DATA) == 409
    assert await put(client, "file/X.img", DATA) == 409
    assert await status(client, "DELETE", "/D.img") == 409
    assert files(images) == {"X.img": b"first", "D.img/": b"", "file": b""}


# --- MOVE, COPY, DELETE -----------------------------------------------------------------------------------------------


async def test_move(client: Client, images: Path) -> None:
    (images / PART).write_bytes(b"new")
    assert await move(client, "X.img", "X.img.ant") == 201
    assert await move(client, PART, "X.img") == 201
    assert files(images) == {"X.img.ant": b"first", "X.img": b"new"}
    assert await move(client, "X.img", "X.img.ant") == 204
    assert files(images) == {"X.img.ant": b"new"}


async def test_copy(client: Client, images: Path) -> None:
    assert await move(client, "X.img", "Y.img", "COPY") == 201
    assert files(images) == {"X.img": b"first", "Y.img": b"first"}
    (images / "X.img").write_bytes(b"second")
    assert (images / "Y.img").read_bytes() == b"first"
    assert await move(client, "X.img", "Y.img", "COPY") == 204
    assert (images / "Y.img").read_bytes() == b"second"


@pytest.mark.parametrize("method", ["MOVE", "COPY"])
async def test_what_stands_in_the_way(client: Client, images: Path, method: str) -> None:
    (images / "Y.img").write_bytes(b"other")
    before = files(images)
    assert await move(client, "X.img", "Y.img", method, overwrite="F") == 412
    assert await move(client, "absent.img", "Y.img", method) == 404
    assert await move(client, "X.img", "folder/X.img", method) == 409
    assert await move(client, "X.img", "X.img", method) == 403
    assert await move(client, "X.img", "Z.img", method, overwrite="perhaps") == 400
    assert files(images) == before
    assert await move(client, "X.img", "Z.img", method, overwrite="F") == 201
    assert await move(client, "Z.img", "Y.img", method, overwrite="T") == 204


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("http://HOST/ogrepository/images/Y.img", 201),
        ("https://HOST/ogrepository/images/Y%2Eimg", 201),
        ("http://192.0.2.1/ogrepository/images/Y.img", 502),
        ("http://127.0.0.1:1/ogrepository/images/Y.img", 502),
        ("/ogrepository/Y.img", 403),
        ("/etc/X.img", 403),
        ("/ogrepository/images/../../Y.img", 403),
        ("/ogrepository/images/%2e%2e/Y.img", 403),
        ("/ogrepository/images//Y.img", 403),
        ("", 400),
        ("Y.img", 400),
        ("//HOST/ogrepository/images/Y.img", 400),
        ("file:///ogrepository/images/Y.img", 400),
        ("http://HOST:port/ogrepository/images/Y.img", 400),
        ("/ogrepository/images/Y.img?x=1", 400),
        ("/ogrepository/images/%ff.img", 400),
    ],
)
async def test_destinations(client: Client, images: Path, destination: str, expected: int) -> None:
    where = destination.replace("HOST", f"127.0.0.1:{client.port}")
    assert await status(client, "MOVE", "/X.img", destination=where) == expected
    assert files(images) == {"Y.img" if expected == 201 else "X.img": b"first"}


async def test_delete(client: Client, images: Path) -> None:
    assert await status(client, "DELETE", "/X.img") == 204
    assert await status(client, "DELETE", "/X.img") == 404
    assert await status(client, "DELETE", "/folder/X.img") == 404
    assert files(images) == {}
