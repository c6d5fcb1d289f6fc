"""What an operator orders, as the agent gets it, and the traces that it leaves."""

from __future__ import annotations

import json

import pytest

from tests.simulator.ogcore_room import FINAL, JOB, ORDER, SECRET, Members, Room

# --- deploying --------------------------------------------------------------------------------------------------------


async def test_the_call_is_that_of_the_documentation(room: Room) -> None:
    await room.start()
    assert await room.deploy() == (200, {"job_id": JOB, "trace": "1"})
    ((path, body, authorization),) = room.agent.asked
    assert (path, authorization) == ("/CloningEngine/RestaurarImagen", SECRET)
    assert json.loads(body) == {
        "dsk": "1",
        "par": "2",
        "cpt": "83",
        "ifs": "1",
        "idi": "01936caf-facb-72ad-9446-97e7dbf2b96a",
        "nci": "image-test",
        "ipr": "127.0.0.1",
        "nfn": "RestaurarImagen",
        "method": "unicast",
        "ids": "1",
    }
    assert (await room.trace())["state"] == "pending"


async def test_the_partition_code_follows_the_image(room: Room) -> None:
    await room.start()
    await room.deploy(image="windows")
    assert json.loads(room.agent.asked[0][1])["cpt"] == "7"


async def test_a_corrupt_image_is_not_offered(room: Room) -> None:
    await room.start()
    offered = (await room.get("/images"))["images"]
    assert [image["name"] for image in offered] == ["image-test", "windows"]
    status, answer = await room.deploy(image="broken")
    assert status == 422
    assert "broken.img.full.sum" in answer["error"]
    assert room.agent.asked == []


async def test_a_refusal_is_passed_on_in_the_agents_own_words(room: Room) -> None:
    await room.start()
    room.agent.answer = (409, {"error": "partition 4 is the CACHE", "code": "target-is-cache"})
    status, answer = await room.deploy(partition=4)
    assert (status, answer) == (409, {"error": "partition 4 is the CACHE", "code": "target-is-cache", "trace": "1"})
    trace = await room.trace()
    assert (trace["state"], trace["text"]) == ("failed", "partition 4 is the CACHE")


@pytest.mark.parametrize("answer", [(200, "<html>"), (200, "[]"), (200, {"job_id": 5}), (500, "["), (204, "")])
async def test_an_agent_that_answers_nonsense(room: Room, answer: tuple[int, Members | str]) -> None:
    await room.start()
    room.agent.answer = answer
    status, _ = await room.deploy()
    assert status == 502
    assert (await room.trace())["state"] == "failed"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"image": "absent"}, 404),
        ({"image": ""}, 400),
        ({"image": 7}, 400),
        ({"disk": 0}, 400),
        ({"disk": "one"}, 400),
        ({"partition": -1}, 400),
        ({"surprise": 1}, 400),
    ],
)
async def test_an_order_that_cannot_be_carried_out(room: Room, changes: Members, status: int) -> None:
    await room.start()
    assert (await room.deploy(**changes))[0] == status
    assert room.agent.asked == []


async def test_a_client_that_is_off_gets_no_order(room: Room) -> None:
    status, answer = await room.deploy()
    assert (status, answer) == (409, {"error": "pc1 is off"})


async def test_a_plan_is_asked_for_and_leaves_no_trace(room: Room) -> None:
    await room.start()
    room.agent.answer = (200, {"target": {"disk": 1}})
    assert await room.post("/clients/pc1/plan", ORDER) == (200, {"target": {"disk": 1}})
    ((path, body, authorization),) = room.agent.asked
    assert (path, authorization, json.loads(body)["ids"]) == ("/plan", SECRET, "0")
    room.agent.answer = (422, {"error": "The image needs 9 bytes", "code": "image-too-large"})
    status, answer = await room.post("/clients/pc1/plan", ORDER)
    assert (status, answer) == (422, {"error": "The image needs 9 bytes", "code": "image-too-large"})
    assert (await room.get("/traces"))["traces"] == []


async def test_the_same_order_once_more(room: Room) -> None:
    await room.start()
    await room.deploy(method="unicast-direct")
    assert (await room.post("/traces/1/retry"))[0] == 409  # it has not ended
    await room.report(FINAL, res="2", der="033-The image is corrupt", progress=10)
    assert await room.post("/traces/1/retry") == (200, {"job_id": JOB, "trace": "2"})
    first, second = (json.loads(body) for _, body, _ in room.agent.asked)
    assert second == first | {"ids": "2"}


# --- traces -----------------------------------------------------------------------------------------------------------


async def test_traces_are_filtered(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(FINAL)
    room.agent.answer = (409, {"error": "busy"})
    await room.deploy()

    async def ids(query: str) -> list[str]:
        return [trace["id"] for trace in (await room.get(f"/traces?{query}"))["traces"]]

    assert await ids("") == await ids("status=&command=&client=") == ["2", "1"]
    assert await ids("status=success") == ["1"]
    assert await ids("status=failed&client=pc1&command=deploy-image") == ["2"]
    assert await ids("client=pc2") == await ids("command=other") == await ids("status=pending") == []
    status = (await room.ogcore.get("/traces?status=sleepy")).status
    assert status == 400


async def test_cancel_kills_the_job(room: Room) -> None:
    await room.start()
    await room.deploy()
    room.agent.answer = (200, {"job_id": JOB, "state": "cancelled"})
    expected = (200, {"job_id": JOB, "state": "cancelled", "trace": "1"})
    assert await room.post("/clients/pc1/cancel") == expected
    assert await room.post("/traces/1/cancel") == expected
    assert [(path, json.loads(body)) for path, body, _ in room.agent.asked[1:]] == [
        ("/CloningEngine/KillJob", {"job_id": JOB})
    ] * 2


async def test_there_may_be_nothing_to_cancel(room: Room) -> None:
    assert (await room.post("/clients/pc1/cancel"))[0] == 409
    await room.start()
    await room.deploy()
    await room.report(FINAL)
    assert (await room.post("/traces/1/cancel"))[0] == 409


@pytest.mark.parametrize("path", ["/clients/nobody", "/traces/9", "/nothing"])
async def test_what_is_not_there(room: Room, path: str) -> None:
    async with room.ogcore.get(path) as response:
        assert response.status == 404
        assert "error" in await response.json()
