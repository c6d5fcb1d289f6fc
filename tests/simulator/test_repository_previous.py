"""The version before an image: what the catalogue tells of it, and how it comes back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from simulator.repository.app import repository_app
from simulator.repository.store import Store
from tests.simulator.repository_writer import PART, PREFIX, TOKEN, Client, asked, files, put, status

OLD = 1_000_000_000_123_456_789
OLD_TEXT = "2001-09-09T01:46:40.123Z"
SIDECARS = (".full.sum", ".index", ".index.sig", ".info", ".sum")


@pytest.fixture
async def client(tmp_path: Path, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(repository_app(tmp_path, token=TOKEN))


def write(directory: Path, name: str, content: bytes, sidecars: tuple[str, ...] = ()) -> None:
    (directory / name).write_bytes(content)
    for suffix in sidecars:
        (directory / f"{name}{suffix}").write_bytes(content + suffix.encode())


async def listed(client: Client) -> list[dict[str, Any]]:
    async with client.get(PREFIX) as response:
        images: list[dict[str, Any]] = (await response.json())["images"]
        return images


# --- the catalogue ----------------------------------------------------------------------------------------------------


async def test_what_the_catalogue_tells(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "X.img", b"new")
    os.utime(tmp_path / "X.img", ns=(OLD, OLD))
    (image,) = await listed(client)
    assert (image["modified"], image["previous"], image["locked"]) == (OLD_TEXT, None, False)
    write(tmp_path, "X.img.ant", b"older", SIDECARS)
    os.utime(tmp_path / "X.img.ant", ns=(OLD, OLD))
    write(tmp_path, "X.img.lock", b"")
    write(tmp_path, PART, b"half", SIDECARS)
    (image,) = await listed(client)
    assert image["previous"] == {"size": 5, "modified": OLD_TEXT}
    assert image["locked"]
    assert {"name", "state", "reason", "size", "container", "format", "info"} < set(image)
    (tmp_path / "X.img.lock").unlink()
    (tmp_path / "X.img.ant").unlink()
    (image,) = await listed(client)
    assert (image["previous"], image["locked"]) == (None, False)


async def test_an_upload_is_in_the_catalogue_when_it_is_whole(client: Client) -> None:
    assert await put(client, PART, b"data") == 201
    assert await listed(client) == []
    assert await status(client, "MOVE", f"/{PART}", destination=f"{PREFIX}/X.img") == 201
    (image,) = await listed(client)
    assert (image["name"], image["size"]) == ("X", 4)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", image["modified"])


# --- putting back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [(), (".info", ".full.sum"), SIDECARS])
@pytest.mark.parametrize("old", [(), (".full.sum", ".index"), SIDECARS])
@pytest.mark.parametrize("name", ["X.img", "aula/X.img"])
async def test_image_and_previous_change_places(
    client: Client, tmp_path: Path, new: tuple[str, ...], old: tuple[str, ...], name: str
) -> None:
    (tmp_path / "aula").mkdir()
    write(tmp_path, name, b"new", new)
    write(tmp_path, f"{name}.ant", b"old", old)
    before = files(tmp_path)
    assert (await asked(client, "POST", f"/{name}/put-back"))[0] == 200
    swapped = {f"{name}{suffix}": b"old" + suffix.encode() for suffix in ("", *old)}
    swapped |= {f"{name}.ant{suffix}": b"new" + suffix.encode() for suffix in ("", *new)}
    assert files(tmp_path) == swapped | {"aula/": b""}
    assert (await asked(client, "POST", f"/{name}/put-back"))[0] == 200
    assert files(tmp_path) == before


async def test_the_answer_is_the_image_as_it_is_listed(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "X.img", b"new")
    write(tmp_path, "X.img.ant", b"older")
    (tmp_path / "X.img.ant.full.sum").write_text(hashlib.md5(b"older").hexdigest())
    async with client.post(f"{PREFIX}/X.img/put-back", headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        image = await response.json()
    assert [image] == await listed(client)
    assert (image["name"], image["state"], image["size"], image["previous"]["size"]) == ("X", "ok", 5, 3)
    assert not image["locked"]


async def test_an_image_that_is_gone_comes_back(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "X.img.ant", b"old", SIDECARS)
    code, body = await asked(client, "POST", "/X.img/put-back")
    assert (code, b'"previous":null' in body) == (200, True)
    assert files(tmp_path) == {f"X.img{suffix}": b"old" + suffix.encode() for suffix in ("", *SIDECARS)}


async def test_what_cannot_be_put_back(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "X.img", b"new")
    before = files(tmp_path)
    assert await status(client, "POST", "/X.img/put-back") == 404
    assert await status(client, "POST", "/Y.img/put-back") == 404
    assert await status(client, "POST", "/X.img.ant/put-back") == 403
    assert await status(client, "POST", "/X.img.sum/put-back") == 403
    assert files(tmp_path) == before


async def test_a_locked_image_stays(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "X.img", b"new", SIDECARS)
    write(tmp_path, "X.img.ant", b"old", SIDECARS)
    write(tmp_path, "X.img.lock", b"somebody")
    before = files(tmp_path)
    assert await status(client, "POST", "/X.img/put-back") == 409
    assert files(tmp_path) == before


def test_at_no_moment_there_is_no_image(tmp_path: Path) -> None:
    """One reads all the time while another puts back."""
    write(tmp_path, "X.img", b"new", SIDECARS)
    write(tmp_path, "X.img.ant", b"old", SIDECARS)
    store, ended, seen = Store(tmp_path), threading.Event(), set()

    def read() -> None:
        while not ended.is_set():
            try:
                seen.add((tmp_path / "X.img").read_bytes())
            except FileNotFoundError:
                seen.add(b"nothing")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while not seen:
            time.sleep(0.001)
        for _ in range(500):
            store.put_back(tmp_path / "X.img")
    finally:
        ended.set()
        reader.join()
    assert seen <= {b"new", b"old"}


async def test_two_who_put_back_at_once(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "X.img", b"new", SIDECARS)
    write(tmp_path, "X.img.ant", b"old", SIDECARS)
    codes = await asyncio.gather(*(status(client, "POST", "/X.img/put-back") for _ in range(5)))
    assert codes == [200] * 5
    name, other = "X.img", "X.img.ant"
    expected = {f"{name}{suffix}": b"old" + suffix.encode() for suffix in ("", *SIDECARS)}
    expected |= {f"{other}{suffix}": b"new" + suffix.encode() for suffix in ("", *SIDECARS)}
    assert files(tmp_path) == expected
