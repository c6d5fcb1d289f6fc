"""Images that ogCore has created: the order, and what is remembered of them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from simulator.ogcore.clients import Clients
from simulator.ogcore.created import MOST_IMAGES, CreatedImages
from simulator.ogcore.order import Order
from simulator.ogcore.reports import FinalReport
from simulator.ogcore.store import Store
from simulator.ogcore.traces import Traces
from tests.simulator.image_stage import BEFORE, CREATED, FAILED, FOUND, ID, JOB, ORDER, Stage, create, created, image
from tests.simulator.ogcore_room import PROGRESS, SECRET, Members, Room


@pytest.fixture
async def room(stage: Stage) -> Room:
    return await stage.room()


# --- the order --------------------------------------------------------------------------------------------------------


async def test_the_call_has_its_members_as_texts(room: Room) -> None:
    assert await create(room) == (200, {"job_id": JOB, "trace": "1"})
    ((path, body, authorization),) = room.agent.asked
    assert (path, authorization) == ("/CloningEngine/CrearImagen", SECRET)
    members = {"dsk": "1", "par": "2", "idi": ID, "nci": "aula/ubuntu", "ipr": "127.0.0.1", "nfn": "CrearImagen"}
    assert json.loads(body) == members | {"ids": "1"}
    trace = await room.trace()
    assert (trace["command"], trace["image"], trace["partition"]) == ("create-image", "aula/ubuntu", "1/2")
    assert (trace["description"], trace["method"], trace["state"]) == ("With LibreOffice", "", "pending")


async def test_the_id_is_the_one_that_the_image_has_when_it_is_deployed(room: Room, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000)
    await create(room)
    await room.deploy(image="aula/ubuntu")
    first, second = (json.loads(body) for _, body, _ in room.agent.asked)
    assert first["idi"] == second["idi"] == (await image(room))["id"]


async def test_a_dry_run_leaves_no_trace(room: Room) -> None:
    plan = {"target": {"disk": 1, "partition": 2}, "destination": "https://repo/x.img", "filesystem": "EXT4"}
    room.agent.answer = (200, plan)
    assert await room.post("/clients/pc1/create-image/plan", ORDER) == (200, plan)
    ((path, body, _),) = room.agent.asked
    assert (path, json.loads(body)["nfn"], json.loads(body)["ids"]) == ("/plan", "CrearImagen", "0")
    assert (await room.get("/traces"))["traces"] == []


@pytest.mark.parametrize("name", ["a", "UPPER_low-1.2", "dir/image", "x" * 200])
async def test_a_name(room: Room, name: str) -> None:
    assert (await create(room, image=name))[0] == 200


@pytest.mark.parametrize(
    "name",
    ["", "x" * 201, "a b", "a/b/c", "/a", "a/", "..", "a/..", "../a", "a..b", "a\n", "ñ", "a?b", "a%2Fb", 7, None],
)
async def test_what_is_no_name(room: Room, name: object) -> None:
    assert (await create(room, image=name))[0] == 400
    assert (await room.post("/clients/pc1/create-image/plan", ORDER | {"image": name}))[0] == 400
    assert room.agent.asked == []


@pytest.mark.parametrize(
    "changes", [{"disk": 0}, {"partition": "x"}, {"method": "unicast"}, {"description": "x" * 2001}]
)
async def test_an_order_that_cannot_be_carried_out(room: Room, changes: Members) -> None:
    assert (await create(room, **changes))[0] == 400
    assert room.agent.asked == []


async def test_a_refusal_is_passed_on_in_the_agents_own_words(room: Room) -> None:
    said = {"error": "partition 4 is the CACHE", "code": "source-is-cache", "hint": "choose another"}
    room.agent.answer = (409, said)
    assert await create(room, partition=4) == (409, said | {"trace": "1"})


async def test_the_same_order_once_more(room: Room, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000)
    await create(room)
    await room.report(FAILED, job_id=JOB)
    assert (await room.trace())["text"] == "041-x"
    assert await room.post("/traces/1/retry") == (200, {"job_id": JOB, "trace": "2"})
    first, second = (json.loads(body) for _, body, _ in room.agent.asked)
    assert second == first | {"ids": "2"}
    assert (await room.trace(2))["description"] == "With LibreOffice"
    await room.report(CREATED, job_id=JOB, ids="2")
    assert (await image(room))["description"] == "With LibreOffice"


# --- what is remembered -----------------------------------------------------------------------------------------------


async def test_a_trace_goes_through_its_phases_to_success(room: Room) -> None:
    await create(room)
    for progress, phase in enumerate(("checking", "reducing", "capturing", "verifying", "committing", "growing")):
        await room.report(PROGRESS, nfn="CrearImagen", phase=phase, progress=progress, job_id=JOB)
        assert (await room.trace())["phase"] == phase
    await room.report(CREATED, job_id=JOB)
    trace = await room.trace()
    assert (trace["state"], trace["text"], trace["progress"]) == ("success", "Successfully created", 100)
    assert trace["reports"][-1]["image"] == FOUND
    assert await room.violations() == []


async def test_what_is_known_of_an_image_outlives_a_restart(stage: Stage) -> None:
    room = await stage.room()
    stage.repository.has("aula/ubuntu", 3000, info="partclone:zstd:NTFS:1:elsewhere")
    assert (await image(room))["created"] == ""
    await created(room)
    known = await image(room)
    expected: Members = {"description": "With LibreOffice", "system": "Ubuntu 24.04", "created_from": "pc1"}
    expected |= {"size": 3000, "data_size": 9000, "filesystem": "EXT4", "digest": FOUND["digest"]}
    assert expected.items() <= known.items()
    assert known["created"] == (await room.trace())["finished"]
    await room.ogcore.close()
    assert await image(await stage.room()) == known


@pytest.mark.parametrize("end", [FAILED, FAILED | {"der": "000-Cancelled"}, FAILED | {"image": FOUND}])
async def test_an_image_that_did_not_come_about_is_not_remembered(room: Room, stage: Stage, end: Members) -> None:
    stage.repository.has("aula/ubuntu", 3000)
    await create(room)
    await room.report(end, job_id=JOB)
    await room.report(CREATED, job_id=JOB)  # a second final report does not count
    assert (await image(room))["created"] == ""


async def test_a_file_that_somebody_else_put_there_has_no_description(room: Room, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3001)
    await created(room)
    assert ((await image(room))["description"], (await image(room))["created"]) == ("", "")


async def test_an_image_that_another_ogcore_ordered(room: Room, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000)
    await room.report(CREATED, job_id=JOB, ids="0")
    known = await image(room)
    assert (known["created_from"], known["system"], known["description"]) == ("pc1", "Ubuntu 24.04", "")


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        FOUND | {"size": "3000"},
        FOUND | {"used": -1},
        FOUND | {"filesystem": ""},
        FOUND | {"digest": "0123456789ABCDEF"},
        FOUND | {"digest": f"{FOUND['digest']}\n"},
        {"size": 3000, "used": 9000, "filesystem": "EXT4"},
    ],
)
async def test_a_report_that_does_not_say_what_was_made(room: Room, found: Members | None) -> None:
    await create(room)
    status, _ = await room.report(CREATED | {"image": found}, job_id=JOB)
    assert status == (200 if found is None else 400)
    (violation,) = await room.violations()
    assert violation == "RESPUESTA_CrearImagen has no image" if found is None else "cannot be read" in violation


async def test_the_repository_of_an_older_time_says_less(room: Room, stage: Stage) -> None:
    stage.repository.images["old"] = {"name": "old", "state": "ok", "size": 5}
    old = await image(room, "old")
    assert (old["previous"], old["locked"], old["modified"], old["put_back"]) == (None, False, "", False)


async def test_an_image_that_is_being_written(room: Room, stage: Stage) -> None:
    stage.repository.has("aula/ubuntu", 3000, previous=BEFORE, locked=True)
    known = await image(room)
    assert (known["locked"], known["previous"], known["put_back"]) == (True, BEFORE, False)


async def test_only_so_many_are_remembered(tmp_path: Path) -> None:
    store, images = Store(tmp_path / "memory"), CreatedImages()
    for number in range(MOST_IMAGES + 1):
        images.put_back(f"image {number}")
        await store.save_image(f"image {number}", images)
    again = CreatedImages()
    store.load(Clients([]), Traces(), again)
    await store.close()
    assert list(images._images) == list(again._images) == [f"image {number}" for number in range(1, MOST_IMAGES + 1)]


def test_a_report_that_comes_again_is_no_second_version() -> None:
    """As after an ogCore that remembered the image and fell over before it remembered the trace."""
    body = json.dumps(CREATED | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"}).encode()
    report, images = msgspec.json.decode(body, type=FinalReport), CreatedImages()
    for _ in range(2):
        assert images.receive(report, Order(client="pc1", description="first"), "2026-11-24T10:00:00.000Z") == ID
    versions = images.versions(ID)
    assert (versions.current and versions.current.description, versions.previous) == ("first", None)
