"""What members mean, from the call to what the job does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ogagent.model.job import Job, State
from tests.http.bodies import GOOD
from tests.http.whole_agent import HTTP, IMAGE, Agent, whole_agent


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with whole_agent(HTTP) as agent:
        yield agent


async def deployed(agent: Agent, **members: object) -> Job:
    _, job = await agent.deploy({**GOOD, **members})
    assert isinstance(job, Job), job
    return job


async def test_the_disk_that_is_meant(agent: Agent) -> None:
    identity = await agent.identity()
    job = await deployed(agent, identity=identity)
    assert (job.state, job.request["identity"], agent.content) == (State.SUCCEEDED, identity, IMAGE)
    assert (await agent.plan({**GOOD, "identity": identity}))[0] == 200


@pytest.mark.parametrize("identity", ["wwn:0x5000c500a1b2c3d4;size:500107862016", "0", 7])
async def test_another_disk_is_not_written_to(agent: Agent, identity: object) -> None:
    before, found = agent.disk.read_bytes(), await agent.identity()
    job = await deployed(agent, identity=identity)
    assert job.error is not None
    assert (job.state, job.error.number, job.error.code) == (State.FAILED, 92, "disk-changed")
    assert job.error.message == f"disk 1 is {found}, the request means {identity}"
    assert agent.disk.read_bytes() == before
    status, problem = await agent.plan({**GOOD, "identity": identity})
    assert (status, problem["code"], problem["number"], problem["detail"]) == (
        *(422, "disk-changed", 92),
        job.error.message,
    )


@pytest.mark.parametrize("identity", [None, ""])
async def test_whoever_names_no_disk_means_the_one_with_the_number(agent: Agent, identity: str | None) -> None:
    assert (await deployed(agent, identity=identity)).state is State.SUCCEEDED


@pytest.mark.parametrize(("force", "echoed"), [("1", "1"), (1, "1"), ("0", "0"), (0, "0"), (None, "0"), ("", "0")])
async def test_force_is_echoed(agent: Agent, force: object, echoed: str) -> None:
    assert (await deployed(agent, force=force)).request["force"] == echoed


@pytest.mark.parametrize(
    ("members", "cached"),
    [
        ({}, True),
        ({"method": None, "ptc": None}, True),
        ({"method": "UNICAST-CACHE"}, True),
        ({"ptc": "unicast-cache 1:2"}, True),
        ({"method": "unicast", "ptc": "unicast-direct"}, True),
        ({"method": "UNICAST-DIRECT"}, False),
        ({"method": None, "ptc": "UNICAST-DIRECT"}, False),
    ],
)
async def test_which_methods_leave_the_image_in_the_cache(
    agent: Agent, members: dict[str, str | None], cached: bool
) -> None:
    assert (await deployed(agent, **members)).state is State.SUCCEEDED
    assert (agent.disk.with_name("disk.cache4") / "opt/opengnsys/images/image-test.img").exists() is cached


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multicast", " 9000:full-duplex:239.194.17.2:70M:20:60"),
        ("multicast-direct", ""),
        ("Udpcast", " 9000"),
        ("UFTP", " 9200:239.194.17.3:70M"),
        ("p2p", " peer:60"),
        ("TORRENT-cache", " leecher"),
    ],
)
@pytest.mark.parametrize("member", ["method", "ptc"])
async def test_methods_of_the_crowd(agent: Agent, name: str, options: str, member: str) -> None:
    """Nobody sends it: it comes from the repository, and people are told why."""
    job = await deployed(agent, **{member: name + options})
    assert (job.state, agent.content) == (State.SUCCEEDED, IMAGE)
    assert [warning[:3] for warning in job.warnings] == ["060"]


@pytest.mark.parametrize("method", ["multicast peer:60", "multicast 80", "uftp 9200:full", "p2p server", "p2p peer:x"])
async def test_options_of_the_crowd_that_are_none(agent: Agent, method: str) -> None:
    for status, problem in (
        await agent.plan({**GOOD, "method": method}),
        await agent.deploy({**GOOD, "method": method}),
    ):
        assert isinstance(problem, dict)
        assert (status, problem["code"], problem["field"]) == (400, "invalid-field", "method")
        assert problem["hint"].startswith(method.partition(" ")[0])


async def test_a_slash_before_the_name_is_dropped(agent: Agent) -> None:
    job = await deployed(agent, nci="/image-test")
    assert (job.state, job.request["nci"], agent.content) == (State.SUCCEEDED, "image-test", IMAGE)


async def test_a_byte_order_mark(agent: Agent) -> None:
    async with agent.client.post("/plan", data=b'\xef\xbb\xbf{"dsk": 9}') as response:
        assert (await response.json(content_type=None))["code"] == "missing-field"
