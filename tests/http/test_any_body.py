"""The whole way of a call, from the bytes of its body to the end of its job: whatever is in it, the agent is not at a
loss. It never answers 5xx, and no job ends with number 40, which is for what nobody has thought of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from ogagent.model.job import Job, State
from tests.http.bodies import BODIES, GOOD, by_hand
from tests.http.whole_agent import FILE, HTTP, HTTPS, IMAGE, Agent, whole_agent

UNEXPECTED: Final = 40


@pytest.fixture(params=[HTTP, HTTPS, FILE], ids=["http", "https", "file"])
async def agent(request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    async with whole_agent(request.param) as agent:
        yield agent


async def mishaps(agent: Agent, body: dict[str, Any]) -> list[object]:
    found: list[object] = []
    status, answer = await agent.plan(body)
    if status >= 500:
        found.append((body, "/plan", answer))
    status, ended = await agent.deploy(body)
    if status >= 500:
        found.append((body, ended))
    if isinstance(ended, Job) and ended.error is not None and ended.error.number == UNEXPECTED:
        found.append((body, ended.error))
    return found


async def test_bodies_made_by_hand(agent: Agent) -> None:
    assert [mishap for body in by_hand() for mishap in await mishaps(agent, body)] == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
async def test_bodies_that_are_generated(agent: Agent, body: dict[str, Any]) -> None:
    assert await mishaps(agent, body) == []


@pytest.mark.parametrize("agent", [HTTP, FILE], indirect=True)
async def test_a_good_body_is_carried_out(agent: Agent) -> None:
    """So what the others go through is the way of a real deployment."""
    _, job = await agent.deploy(GOOD)
    assert isinstance(job, Job)
    assert (job.state, job.error, agent.content) == (State.SUCCEEDED, None, IMAGE)
