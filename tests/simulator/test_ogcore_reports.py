"""What an agent reports, as ogCore takes it in, and what it does not take."""

from __future__ import annotations

import json

import pytest

from tests.simulator.ogcore_room import FINAL, JOB, PROGRESS, STARTED, STOPPED, WEBHOOK, Members, Room


async def test_a_trace_from_order_to_success(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS)
    trace = await room.trace()
    assert (trace["state"], trace["progress"], trace["phase"]) == ("in-progress", 10, "fetching")
    await room.report(FINAL)
    trace = await room.trace()
    assert (trace["state"], trace["progress"], trace["text"]) == ("success", 100, "Completed successfully")
    assert [report["nfn"] for report in trace["reports"]] == ["RestaurarImagen", "RESPUESTA_RestaurarImagen"]
    assert await room.violations() == []


async def test_a_report_that_says_nothing_of_the_disks(room: Room) -> None:
    await room.start()
    await room.deploy()
    status, _ = await room.report({name: value for name, value in FINAL.items() if name != "cfg"})
    assert (status, (await room.trace())["state"]) == (200, "success")


@pytest.mark.parametrize(("der", "state"), [("033-The image is corrupt", "failed"), ("000-Cancelled", "cancelled")])
async def test_a_trace_that_ends_badly(room: Room, der: str, state: str) -> None:
    await room.start()
    await room.deploy()
    await room.report(FINAL, res="2", der=der, progress=10)
    trace = await room.trace()
    assert (trace["state"], trace["text"], trace["progress"]) == (state, der, 10)


async def test_a_report_may_overtake_the_answer_to_the_call(room: Room) -> None:
    async def hurry() -> None:
        await room.report(PROGRESS)

    await room.start()
    room.agent.before_answer = hurry
    await room.deploy()
    assert (await room.trace())["state"] == "in-progress"
    assert len((await room.get("/traces"))["traces"]) == 1
    assert await room.violations() == []


async def test_an_answer_for_another_job_is_noted(room: Room) -> None:
    async def confuse() -> None:
        await room.report(PROGRESS, job_id="RestaurarImagen-00000000")

    await room.start()
    room.agent.before_answer = confuse
    await room.deploy()
    assert len(await room.violations()) == 1


async def test_a_job_that_somebody_else_started_has_a_trace_too(room: Room) -> None:
    await room.start()
    await room.report(PROGRESS, ids="0")
    await room.report(FINAL, ids="0")
    (trace,) = (await room.get("/traces"))["traces"]
    assert (trace["client"], trace["job_id"], trace["state"]) == ("pc1", JOB, "success")


async def test_a_double_is_acknowledged_and_not_counted(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS)
    await room.report(PROGRESS, seq=1, event_id="event-1")
    await room.report(FINAL, seq=3, event_id="event-3")
    status, _ = await room.report(FINAL, seq=3, event_id="event-3")
    trace = await room.trace()
    assert status == 200
    assert (trace["doubles"], len(trace["reports"])) == (2, 2)
    assert await room.violations() == []


async def test_a_double_with_another_content_is_noted(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS)
    await room.report(PROGRESS, seq=1, event_id="event-1", progress=11)
    assert await room.violations() == ["event event-1 came again with another content"]


async def test_a_second_final_report_is_acknowledged_noted_and_does_not_count(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(FINAL, res="2", der="033-The image is corrupt", progress=10)
    assert (await room.report(FINAL))[0] == 200
    trace = await room.trace()
    assert trace["state"] == "failed"
    assert await room.violations() == ["a second final report after the final report"]
    assert [violation["what"] for violation in trace["violations"]] == await room.violations()


async def test_late_progress_does_not_turn_back_the_trace(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS, seq=7, progress=50)
    await room.report(PROGRESS, seq=6, progress=40)
    assert (await room.trace())["progress"] == 50
    assert await room.violations() == ["report 6 came after report 7", "progress went back from 50 to 40"]


async def test_reports_must_be_signed_by_a_client(room: Room) -> None:
    await room.start()
    await room.deploy()
    body = json.dumps(FINAL | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"}).encode()
    assert (await room.tell(WEBHOOK, {}, body=body, secret="wrong"))[0] == 401
    assert (await room.tell(WEBHOOK, {}, body=body, headers={"X-OgAgent-Signature": "sha256=ñ"}))[0] == 401
    assert (await room.trace())["state"] == "pending"
    assert len(await room.violations()) == 2


async def test_another_library_is_turned_away(room: Room) -> None:
    await room.start()
    status, _ = await room.tell(WEBHOOK, PROGRESS, headers={"User-Agent": "curl/8"})
    assert status == 403


async def test_the_event_of_header_and_body_must_agree(room: Room) -> None:
    await room.start()
    await room.deploy()
    members = PROGRESS | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"}
    await room.tell(WEBHOOK, members, headers={"X-OgAgent-Event": "other"})
    assert await room.violations() == ["X-OgAgent-Event is not the event_id of the report"]


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 200_000,
    b'{"nfn":' * 30_000,
    b'{"ip":1}',
    b'{"ip":"127.0.0.1"',
    b"null",
]


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize("path", [WEBHOOK, STARTED, STOPPED, "/clients/pc1/deploy"])
async def test_hostile_bodies(room: Room, path: str, body: bytes) -> None:
    await room.start()
    status, _ = await room.tell(path, {}, body=body)
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "changes",
    [
        {"progress": 101},
        {"progress": -1},
        {"progress": "41"},
        {"phase": "resting"},
        {"seq": -1},
        {"event_id": ""},
        {"bytes": {"image": -5}},
        {"nfn": "Other"},
        {"job_id": None},
    ],
)
async def test_a_report_of_the_wrong_shape(room: Room, changes: Members) -> None:
    await room.start()
    await room.deploy()
    members = PROGRESS | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"} | changes
    status, _ = await room.tell(WEBHOOK, members)
    assert status == 400
    assert len(await room.violations()) == 1
    assert (await room.trace())["state"] == "pending"


async def test_a_body_that_is_too_large(room: Room) -> None:
    status, _ = await room.tell(WEBHOOK, {}, body=b" " * (1 << 20))
    assert status == 413
