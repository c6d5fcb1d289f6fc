"""How an order reaches an agent, and what becomes of it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from simulator.ogcore.agents import Agents, Unreachable
from simulator.ogcore.answers import BAD_GATEWAY, CONFLICT, as_json, error, hint, refused, words
from simulator.ogcore.clients import Client
from simulator.ogcore.order import Order
from simulator.ogcore.store import Store
from simulator.ogcore.traces import Trace, Traces

_NO_TRACE: Final = "0"


class Dispatch:
    def __init__(self, agents: Agents, traces: Traces, store: Store) -> None:
        self._agents = agents
        self._traces = traces
        self._store = store

    async def ask(self, client: Client, order: Order) -> web.Response:
        """What the agent would do, in its own words. No trace: nothing is done."""
        if client.agent is None:
            return _is_off(client)
        try:
            answer = await self._agents.plan(client, order.members | {"ids": _NO_TRACE})
        except Unreachable as why:
            return error(BAD_GATEWAY, str(why))
        return as_json(answer.members) if answer.status == 200 and answer.members else refused(answer)

    async def give(self, client: Client, order: Order) -> web.Response:
        """The trace is there before the call: the agent may report before it has answered."""
        if client.agent is None:
            return _is_off(client)
        trace = self._traces.open(order)
        await self._store.save_trace(trace)
        try:
            answer = await self._agents.call(client, order.function, order.members | {"ids": trace.id})
        except Unreachable as why:
            return await self._give_up(trace, str(why), error(BAD_GATEWAY, str(why), trace=trace.id))
        job_id = answer.members.get("job_id")
        if answer.status != 200 or not isinstance(job_id, str):
            return await self._give_up(trace, words(answer), refused(answer, trace=trace.id), hint=hint(answer))
        if trace.job_id not in {"", job_id}:
            self._traces.violated(f"the call was answered with {job_id}, reports say {trace.job_id}", trace=trace)
        trace.job_id = job_id
        await self._store.save_trace(trace)
        return as_json({"job_id": job_id, "trace": trace.id})

    async def _give_up(self, trace: Trace, reason: str, answer: web.Response, *, hint: str = "") -> web.Response:
        trace.refuse(reason, hint=hint)
        await self._store.save_trace(trace)
        return answer


def _is_off(client: Client) -> web.Response:
    return error(CONFLICT, f"{client.name} is off")
