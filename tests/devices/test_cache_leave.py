"""A CACHE that stayed mounted, before the machine goes down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ogagent.disk.cache import MountedCache
from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.model.plan import Target
from tests.devices.conftest import Mount


def occupant(place: Target) -> str | None:
    return read_occupants().get(block_device_number(place.device) or 0)


async def test_what_could_not_be_unmounted_is_now(
    cache_place: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MountedCache(tmp_path / "cache")
    async with store.mounted(cache_place) as root:
        fd = os.open(root, os.O_RDONLY)
    assert "stays mounted" in caplog.text
    assert occupant(cache_place) == str(tmp_path / "cache")
    os.close(fd)
    await store.leave()
    assert occupant(cache_place) is None
    await store.leave()


async def test_who_uses_it_keeps_it(cache_place: Target, tmp_path: Path) -> None:
    store = MountedCache(tmp_path / "cache")
    async with store.mounted(cache_place):
        await store.leave()
        assert occupant(cache_place) == str(tmp_path / "cache")
    assert occupant(cache_place) is None


async def test_what_somebody_else_has_mounted_stays(cache_place: Target, tmp_path: Path, mount: Mount) -> None:
    elsewhere = mount(cache_place.device)
    store = MountedCache(tmp_path / "cache")
    async with store.mounted(cache_place) as root:
        assert root == elsewhere
    await store.leave()
    assert occupant(cache_place) == str(elsewhere)
