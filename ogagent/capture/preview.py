"""What a capture would do, found out without changing anything."""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import Struct

from ogagent.capture.delivery import Delivery, refuse_locked
from ogagent.capture.job import expect_room
from ogagent.capture.look import held, look, origin_of
from ogagent.capture.machine import ModelMachine
from ogagent.capture.request import CapturePlan
from ogagent.capture.store import StorePolicy, open_store
from ogagent.disk.lookup import check_identity
from ogagent.disk.machine import Machine
from ogagent.errors import RepositoryUnreachable
from ogagent.model.plan import Target

_TIMEOUT_S: Final = 30.0


class Replaced(Struct, frozen=True):
    """The image that has the name by now."""

    size: int


class CapturePreview(Struct, frozen=True, kw_only=True):
    """``used`` bytes of the partition would become ``destination``, None when that is not known before; ``room``: what
    the repository takes, None when it does not say.
    """

    target: Target
    destination: str
    filesystem: str
    used: int | None
    replaces: Replaced | None
    room: int | None
    reduce: bool
    warnings: tuple[str, ...] = ()


async def preview(
    plan: CapturePlan, machine: Machine, models: ModelMachine, policy: StorePolicy, timeout_s: float = _TIMEOUT_S
) -> CapturePreview:
    """Raises what the job would fail with before its first change."""
    check_identity(plan.request.identity, plan.target.disk, plan.target.identity)
    try:
        async with asyncio.timeout(timeout_s):
            return await _preview(plan, machine, models, policy)
    except TimeoutError as error:
        raise RepositoryUnreachable(
            f"partition and repository did not answer within {timeout_s:g} s",
            hint="check that the repository runs and that this machine reaches it",
        ) from error


async def _preview(plan: CapturePlan, machine: Machine, models: ModelMachine, policy: StorePolicy) -> CapturePreview:
    async with held(plan, machine) as device:
        looked = await look(plan, models, device)
        used = origin_of(looked, plan, models, device, lambda _: None).used
    async with open_store(plan.destination, policy) as (store, name):
        await refuse_locked(store, Delivery(name=name, job_id=""))
        there = await store.look(name)
        return CapturePreview(
            target=plan.target,
            destination=plan.destination,
            filesystem=plan.filesystem,
            used=used,
            replaces=None if there is None else Replaced(there.size),
            room=await expect_room(store, used),
            reduce=plan.reduce,
        )
