"""What an agent that died has left of a capture: an image without its name, a lock, a model that is too small."""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ogagent.capture import delivery as deliveries
from ogagent.capture.delivery import Delivery
from ogagent.capture.machine import ModelMachine
from ogagent.capture.proof import has_digest
from ogagent.capture.request import CapturePlan
from ogagent.capture.store import Store, StorePolicy, open_store
from ogagent.errors import AgentError, ModelNotGrownBack, RepositoryUnreachable
from ogagent.resize import reduce as reductions
from ogagent.resize.reduce import Reduction

_RETRY_FOR_S: Final = 20.0
_LONGEST_S: Final = 600.0
"""An image may have to be read to its end."""


class Note(Struct, frozen=True, kw_only=True):
    """For an agent that starts after this one's death. ``reduction``: the model may be smaller than it was."""

    plan: CapturePlan
    keep_previous: bool
    delivery: Delivery
    reduction: Reduction | None = None


async def settle(note: Note, models: ModelMachine, policy: StorePolicy) -> bool:
    """After the agent's death: whether the image has its name now. Nothing half-made is left, and the model is as it
    was. Raises AgentError. A repository that is away is not waited for long: nobody is served meanwhile.
    """
    source = replace(policy.source, retry_for_s=min(policy.source.retry_for_s, _RETRY_FOR_S))
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await _settle(note, replace(policy, source=source))
    except TimeoutError as error:
        raise RepositoryUnreachable(
            f"what is left of {note.plan.destination} was not settled within {_LONGEST_S:.0f} s",
            hint=f"look at it in the repository, and remove {note.delivery.lock} when it is whole",
        ) from error
    finally:
        await grow_back(note.plan, models, note.reduction)


async def _settle(note: Note, policy: StorePolicy) -> bool:
    async with open_store(note.plan.destination, policy) as (store, _):
        prove = prover(store, note.delivery, policy)
        return await deliveries.settle(store, note.delivery, prove, keep_previous=note.keep_previous)


async def grow_back(plan: CapturePlan, models: ModelMachine, reduction: Reduction | None) -> None:
    """What ``reduction`` has made smaller. Raises ModelNotGrownBack."""
    if reduction is None:
        return
    try:
        async with models.node(plan.target) as node:
            await reductions.grow_back(node, reduction)
    except AgentError as error:
        raise ModelNotGrownBack(
            f"{plan.target.name} is smaller than it was, and could not be grown back: {error.message}", hint=error.hint
        ) from error


def prover(store: Store, delivery: Delivery, policy: StorePolicy) -> deliveries.Prove:
    async def prove(name: str) -> bool:
        return await has_digest(store.url(name), delivery.size, delivery.digest, policy.source)

    return prove
