"""What an operator orders besides deployments, and what the agents tell of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.ogcore_room import FINAL, PROGRESS, ROW, SECRET, Members, Room

HARDWARE = "cha=Desktop\nboo=UEFI\ncpu=Intel Core i5-9500 x6\nmem=Samsung M378 8 GiB 2666 MT/s (DIMM 1)\n\nnoise"
SOFTWARE = "Ubuntu 24.04\nlibc6 2.39-0ubuntu8\nMozilla Firefox 128.0\nlost-and-found\nVisual Studio Tools\n"
OUTPUT = "<b>eth0</b>\n\u001b[1mup\u001b[0m\n"
CALLS: list[tuple[str, Members, Members]] = [
    ("Configurar", {"dsk": "1", "cfg": [{"par": "1", "cpt": "LINUX"}]}, {"dsk": "1", "cfg": [ROW]}),
    ("InventarioHardware", {}, {"hrd": HARDWARE}),
    ("InventarioSoftware", {"dsk": "1", "par": "2"}, {"dsk": "1", "par": "2", "sft": SOFTWARE}),
    ("EjecutarScript", {"scp": "ip link"}, {"out": OUTPUT, "code": "0", "cfg": [ROW]}),
    ("IniciarSesion", {"dsk": "1", "par": "2"}, {"dsk": "1", "par": "2"}),
    ("Reiniciar", {}, {}),
    ("Apagar", {}, {}),
]
COMMON = ("res", "der", "progress", "ip", "mac")


def job_of(function: str) -> str:
    return f"{function}-dfa42888"


def final_of(function: str, own: Members) -> Members:
    response = "Configurar" if function == "Actualizar" else function
    return {name: FINAL[name] for name in COMMON} | {"nfn": f"RESPUESTA_{response}"} | own


async def order(room: Room, function: str, members: Members, *, path: str = "") -> tuple[int, Members]:
    return await room.post(f"/clients/pc1/command{path}", {"function": function, "members": members})


async def give(room: Room, function: str, members: Members) -> None:
    room.agent.answer = (200, {"job_id": job_of(function)})
    status, _ = await order(room, function, members)
    assert status == 200


async def done(room: Room, function: str, own: Members, **changes: Any) -> None:
    status, _ = await room.report(final_of(function, own), **{"job_id": job_of(function)} | changes)
    assert status == 200


@pytest.mark.parametrize(("function", "members", "own"), [*CALLS, ("Actualizar", {}, {"cfg": [ROW]})])
async def test_a_command_from_order_to_success(room: Room, function: str, members: Members, own: Members) -> None:
    await room.start()
    await give(room, function, members)
    ((path, body, authorization),) = room.agent.asked
    assert (path, authorization) == (f"/CloningEngine/{function}", SECRET)
    assert json.loads(body) == members | {"nfn": function, "ids": "1"}
    await room.report(PROGRESS, nfn=function, phase="running", job_id=job_of(function))
    assert (await room.trace())["state"] == "in-progress"
    await done(room, function, own)
    trace = await room.trace()
    assert (trace["state"], trace["text"]) == ("success", "Completed successfully")
    assert own.items() <= trace["reports"][-1].items()
    assert await room.violations() == []


async def test_a_command_has_the_name_that_people_know(room: Room) -> None:
    await room.start()
    await give(room, "InventarioSoftware", {"dsk": "1", "par": "2"})
    trace = await room.trace()
    assert (trace["command"], trace["partition"], trace["image"]) == ("software-inventory", "1/2", "")
    assert trace["members"] == {"nfn": "InventarioSoftware", "dsk": "1", "par": "2"}
    assert len((await room.get("/traces?command=software-inventory"))["traces"]) == 1
    assert (await room.get("/traces?command=deploy-image"))["traces"] == []


@pytest.mark.parametrize("body", [{}, {"function": "Format"}, {"function": "Apagar", "members": []}, {"x": 1}])
async def test_a_command_that_there_is_not(room: Room, body: Members) -> None:
    await room.start()
    assert (await room.post("/clients/pc1/command", body))[0] == 400
    assert room.agent.asked == []


async def test_a_client_that_is_off_gets_no_command(room: Room) -> None:
    off = (409, {"error": "pc1 is off"})
    assert await order(room, "Apagar", {}) == off
    assert await order(room, "Apagar", {}, path="/plan") == off
    assert (await room.get("/traces"))["traces"] == []


async def test_a_refusal_comes_with_its_hint(room: Room) -> None:
    await room.start()
    said = {"error": "the machine is busy", "code": "machine-busy", "hint": "wait for EjecutarScript-00000001"}
    room.agent.answer = (409, said)
    assert await order(room, "Reiniciar", {}) == (409, said | {"trace": "1"})
    assert (await room.trace())["text"] == "the machine is busy"


async def test_a_plan_of_a_command_leaves_no_trace(room: Room) -> None:
    await room.start()
    plan = {"partitions": [{"number": 1, "fate": "new"}]}
    room.agent.answer = (200, plan)
    assert await order(room, "Configurar", {"dsk": "1", "cfg": "x"}, path="/plan") == (200, plan)
    ((path, body, _),) = room.agent.asked
    assert (path, json.loads(body)) == ("/plan", {"dsk": "1", "cfg": "x", "nfn": "Configurar", "ids": "0"})
    assert (await room.get("/traces"))["traces"] == []


async def test_the_same_command_once_more(room: Room) -> None:
    await room.start()
    await give(room, "EjecutarScript", {"scp": "false"})
    own = {"out": "", "code": "1", "cfg": [ROW]}
    await done(room, "EjecutarScript", own, res="2", der="040-The script ended with status 1", progress=0)
    assert (await room.post("/traces/1/retry"))[0] == 200
    first, second = (json.loads(body) for _, body, _ in room.agent.asked)
    assert second == first | {"ids": "2"}


async def test_what_somebody_else_ordered_cannot_be_tried_again(room: Room) -> None:
    await room.start()
    await done(room, "Apagar", {}, ids="0")
    assert (await room.trace())["command"] == "shutdown"
    assert (await room.post("/traces/1/retry"))[0] == 409


# --- inventories ------------------------------------------------------------------------------------------------------


async def test_hardware_is_kept(room: Room) -> None:
    assert await room.get("/clients/pc1/hardware") == {"told": "", "components": []}
    await room.start()
    await give(room, "InventarioHardware", {})
    await done(room, "InventarioHardware", {"hrd": HARDWARE})
    hardware = await room.get("/clients/pc1/hardware")
    assert hardware["told"] == (await room.trace())["finished"]
    assert [component["code"] for component in hardware["components"]] == ["cha", "boo", "cpu", "mem"]
    assert hardware["components"][1] == {"code": "boo", "text": "UEFI"}


async def test_software_is_kept_by_partition(room: Room) -> None:
    await room.start()
    await done(room, "InventarioSoftware", {"dsk": "1", "par": "3", "sft": "Windows 11\n"}, ids="0")
    await give(room, "InventarioSoftware", {"dsk": "1", "par": "2"})
    await done(room, "InventarioSoftware", {"dsk": "1", "par": "2", "sft": SOFTWARE}, ids="2", seq=3)
    software = (await room.get("/clients/pc1/software"))["software"]
    assert [(each["partition"], each["system"]) for each in software] == [(2, "Ubuntu 24.04"), (3, "Windows 11")]
    assert software[0]["packages"] == [
        {"name": "libc6", "version": "2.39-0ubuntu8"},
        {"name": "Mozilla Firefox", "version": "128.0"},
        {"name": "lost-and-found", "version": ""},
        {"name": "Visual Studio Tools", "version": ""},
    ]


async def test_an_inventory_that_failed_or_does_not_count_changes_nothing(room: Room) -> None:
    await room.start()
    await give(room, "InventarioHardware", {})
    await done(room, "InventarioHardware", {"hrd": "cpu=A"}, res="2", der="040-Unexpected", progress=0)
    await done(room, "InventarioHardware", {"hrd": "cpu=B"})  # a second final report
    assert (await room.get("/clients/pc1/hardware"))["components"] == []


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(64 << 10, id="as-much-as-a-script-may-say"),
        pytest.param(100, id="little"),
    ],
)
async def test_output_of_nothing_but_control_characters(room: Room, size: int) -> None:
    await room.start()
    await give(room, "EjecutarScript", {"scp": "cat /dev/zero"})
    await done(room, "EjecutarScript", {"out": "\0" * size, "code": "0"})
    assert (await room.trace())["reports"][-1]["out"] == "\0" * size
