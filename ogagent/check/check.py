"""All that the agent depends on, in the order in which one would put it right."""

from __future__ import annotations

import asyncio
from typing import Final

from ogagent.check.finding import Finding, ok, problem, warning
from ogagent.check.machine import disk, machine, oglive
from ogagent.check.named import named
from ogagent.check.reach import ogcore
from ogagent.check.state import state_directory, state_on_cache
from ogagent.check.tools import PURPOSES, tools
from ogagent.crowd.real import missing_engines
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError
from ogagent.model.disk import Disk, Inventory
from ogagent.model.units import format_bytes
from ogagent.partition.real import firmware
from ogagent.settings import Settings

_ON_AN_INSTALLED_SYSTEM: Final = frozenset({"systemd"})


async def check(settings: Settings, disks: Machine | None) -> list[Finding]:
    """``disks`` is None on an installed system, where none is touched."""
    found = await quick_check(settings, disks)
    if disks is not None:
        found += await _of_disks(settings, disks)
    return [*found, await ogcore(settings.ogcore)]


async def quick_check(settings: Settings, disks: Machine | None) -> list[Finding]:
    """Without what may not answer: disks and ogCore."""
    found = await asyncio.to_thread(lambda: [*machine(), *named(settings)])
    if disks is None or not settings.state.on_cache:
        found.append(await asyncio.to_thread(state_directory, settings.state.place))
    if disks is None:
        return [*found, *await tools(skip=PURPOSES.keys() - _ON_AN_INSTALLED_SYSTEM)]
    found += await asyncio.to_thread(lambda: list(oglive()))
    found.append(await asyncio.to_thread(_peers))
    boots_by_kexec = settings.machine.kexec and firmware() == "bios"
    return [*found, *await tools(skip=set() if boots_by_kexec else {"kexec-tools"})]


def _peers() -> Finding:
    purpose = "for the method p2p"
    if hint := missing_engines().get("p2p"):
        return warning("libtorrent", f"not installed, {purpose}", hint)
    return ok("libtorrent", purpose)


async def _of_disks(settings: Settings, disks: Machine) -> list[Finding]:
    try:
        inventory = await disks.inventory()
    except AgentError as error:
        return [problem("disks", error.message, error.hint)]
    found = [await asyncio.to_thread(_disk, each) for each in inventory.disks]
    if settings.state.on_cache:
        found.append(await asyncio.to_thread(state_on_cache, settings.state, inventory))
    return [*found, _cache(settings, inventory)]


def _disk(found: Disk) -> Finding:
    return warning(found.device, found.problem, "see ogagent disks") if found.problem else disk(found.device)


def _cache(settings: Settings, inventory: Inventory) -> Finding:
    caches = [part for disk in inventory.disks for part in disk.partitions if part.cache]
    if caches:
        places = (f"{part.device}, {format_bytes(part.size)}, {part.filesystem or 'no file system'}" for part in caches)
        return ok("CACHE", "; ".join(places))
    if settings.cache.required:
        hint = "partition a disk with one, or set cache.required = false"
        return problem("CACHE", "no disk has one, and without it no image is restored", hint)
    return ok("CACHE", "no disk has one, and none is required")
