"""The way back to the previous version of an image."""

from __future__ import annotations

import json

import pytest

from tests.simulator.fake_repository import TOKEN
from tests.simulator.image_stage import BEFORE, FOUND, Stage, created, image
from tests.simulator.ogcore_room import Members, Room


@pytest.fixture
async def room(stage: Stage) -> Room:
    return await stage.room()


async def put_back(room: Room, name: str = "aula/ubuntu") -> tuple[int, Members]:
    return await room.post(f"/images/{name}/put-back")


async def test_what_is_known_of_a_version_goes_with_it(stage: Stage) -> None:
    room = await stage.room()
    await created(room, image=FOUND | {"size": 2000}, cfg=[])
    await created(room, number=2)
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE)
    assert ((await image(room))["system"], (await image(room))["put_back"]) == ("Ubuntu 24.04", True)
    status, answer = await put_back(room)
    assert (status, answer) == (200, await image(room))
    assert stage.repository.asked == [("aula/ubuntu", f"Bearer {TOKEN}")]
    assert (answer["size"], answer["system"], answer["created_from"]) == (2000, "", "pc1")
    assert answer["previous"]["size"] == 3000
    await room.ogcore.close()
    room = await stage.room()
    assert await image(room) == answer
    await put_back(room)
    assert ((await image(room))["size"], (await image(room))["system"]) == (3000, "Ubuntu 24.04")


async def test_the_version_of_before_ogcores_time_has_no_description(room: Room, stage: Stage) -> None:
    await created(room)
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE | {"size": 3000})  # as long as the other one
    await put_back(room)
    assert (await image(room))["created"] == ""


@pytest.mark.parametrize(
    ("refuses", "status", "said"),
    [
        (404, 404, "no previous version of aula/ubuntu"),
        (409, 409, "aula/ubuntu is being worked on"),
        (401, 502, "does not accept the token"),
        (403, 502, "does not accept the token"),
        (307, 502, "answered 307"),
        (500, 502, "answered 500"),
    ],
)
async def test_a_repository_that_refuses(room: Room, stage: Stage, refuses: int, status: int, said: str) -> None:
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE)
    stage.repository.refuses = refuses
    await created(room)
    answered, answer = await put_back(room)
    assert (answered, said in answer["error"]) == (status, True)
    assert TOKEN not in json.dumps(answer)
    assert (await image(room))["description"] == "With LibreOffice"


@pytest.mark.parametrize("answer", ["", "<html>", "[]", "[" * 100_000])
async def test_a_repository_that_answers_nonsense(room: Room, stage: Stage, answer: str) -> None:
    stage.repository.answer = answer
    status, said = await put_back(room)
    assert (status, "does not answer" in said["error"]) == (502, True)


@pytest.mark.parametrize("name", ["a%20b", "a/b/c", "a%2F..%2Fb", "a%3Fx"])
async def test_what_is_no_name_is_asked_of_nobody(room: Room, stage: Stage, name: str) -> None:
    assert (await put_back(room, name))[0] == 404
    assert stage.repository.asked == []


async def test_without_a_token_nothing_is_put_back(stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE)
    room = await stage.room(token="")
    assert ((await image(room))["previous"], (await image(room))["put_back"]) == (BEFORE, False)
    status, answer = await put_back(room)
    assert (status, answer["hint"]) == (409, "start it with --token-file")
    assert stage.repository.asked == []
