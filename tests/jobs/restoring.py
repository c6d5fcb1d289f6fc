"""The function that restores, with an engine of the test's."""

from __future__ import annotations

from typing import Final

from ogagent.disk.machine import Machine
from ogagent.functions.restore import Engine, RestaurarImagen
from ogagent.functions.table import KINDS
from ogagent.jobs.recovery import Recovery
from ogagent.restore.plan import Rules
from ogagent.restore.preview import Previewer
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context

RULES: Final = Rules(repository_url="http://{ipr}/{nci}.img", repository_networks=(), cache_required=False)
KIND: Final = KINDS["RestaurarImagen"]


def restoring(machine: Machine, rules: Rules, engine: Engine, settle_s: float = 60) -> RestaurarImagen:
    policy = SourcePolicy(tls=client_context("", "ca"), networks=(), stall_timeout_s=1, retry_for_s=0)
    return RestaurarImagen(machine, rules, engine, Previewer(policy), settle_s=settle_s)


def recoveries(machine: Machine, settle_s: float = 60) -> dict[str, Recovery]:
    async def never(*_: object) -> None:
        raise AssertionError("nothing is restored here")

    return {KIND.name: restoring(machine, RULES, never, settle_s).settled}
