"""The machine that the agent runs on, with all that can be done to it."""

from __future__ import annotations

from msgspec import Struct

from ogagent.disk.machine import CacheStore, Machine
from ogagent.functions.insight import Insight


class Host(Struct, frozen=True, kw_only=True):
    machine: Machine
    store: CacheStore
    insight: Insight
