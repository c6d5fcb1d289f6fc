"""Reports in the CACHE of a machine whose disk is a file: whoever has been root there may have left anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ogagent.errors import CacheError, ToolFailed
from ogagent.jobs.cache_shelf import CacheShelf
from ogagent.model.disk import Inventory
from ogagent.system import beneath
from simulator.machine.file_cache import FileCache
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table

MIB = 1 << 20
CACHE = Entry(number=4, start=MIB, size=4 * MIB, type=LINUX_FILESYSTEM, name="CACHE")
SYSTEM = Entry(number=1, start=MIB, size=4 * MIB, type=LINUX_FILESYSTEM, name="Linux")


def machine(folder: Path, entry: Entry = CACHE) -> FileMachine:
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(8 * MIB)
        write_table(file, 8 * MIB, (entry,))
    return FileMachine([disk])


def reports(folder: Path) -> Path:
    return folder / "disk.cache4/opt/opengnsys/ogagent/reports"


async def test_what_was_put_is_there_until_it_is_removed(tmp_path: Path) -> None:
    shelf = CacheShelf(machine(tmp_path), FileCache())
    assert await shelf.list(10, 100) == {}
    await shelf.remove("a.json")
    await shelf.put("a.json", b"first")
    await shelf.put("a.json", b"second")
    await shelf.put("b.json", b"b")
    again = CacheShelf(machine(tmp_path), FileCache())
    assert await again.list(10, 100) == {"a.json": b"second", "b.json": b"b"}
    await again.remove("a.json")
    await again.remove("a.json")
    assert await shelf.list(10, 100) == {"b.json": b"b"}


async def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    shelf = CacheShelf(machine(tmp_path), FileCache())
    for number in range(5):
        await shelf.put(f"{number}.json", b"x" * 10)
    await shelf.put("long.json", b"x" * 11)
    assert len(await shelf.list(3, 11)) == 3
    assert set(await shelf.list(9, 10)) == {f"{number}.json" for number in range(5)}


def link(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def fifo(place: Path, _victim: Path) -> None:
    os.mkfifo(place)


def directory(place: Path, _victim: Path) -> None:
    place.mkdir()


@pytest.mark.parametrize("plant", [link, fifo, directory])
async def test_what_is_no_file_is_not_opened(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"secret")
    shelf = CacheShelf(machine(tmp_path), FileCache())
    reports(tmp_path).mkdir(parents=True)
    for name in ("a.json", "a.json.new", "b.json"):
        plant(reports(tmp_path) / name, victim)
    assert await shelf.list(10, 100) == {}
    try:
        await shelf.put("a.json", b"report")
    except CacheError:
        assert plant is directory
    else:
        assert await shelf.list(10, 100) == {"a.json": b"report"}
    assert victim.read_bytes() == b"secret"


async def test_a_flood_hides_no_report_from_whoever_knows_its_name(tmp_path: Path) -> None:
    shelf = CacheShelf(machine(tmp_path), FileCache())
    reports(tmp_path).mkdir(parents=True)
    names = {f"{number}" for number in range(beneath.MOST + 10)}
    for name in names:
        (reports(tmp_path) / name).touch()
    with beneath.directory(reports(tmp_path)) as within:
        hidden = sorted(names - set(beneath.files(within)))
    assert len(hidden) == 10
    assert len(await shelf.list(20, 100)) == 20
    await shelf.put(hidden[0], b"report")
    assert (reports(tmp_path) / hidden[0]).read_bytes() == b"report"
    await shelf.remove(hidden[1])
    assert not (reports(tmp_path) / hidden[1]).exists()


async def test_a_folder_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shelf = CacheShelf(machine(tmp_path), FileCache())
    reports(tmp_path).parent.mkdir(parents=True)
    reports(tmp_path).symlink_to(elsewhere)
    with pytest.raises(CacheError):
        await shelf.put("a.json", b"report")
    with pytest.raises(CacheError):
        await shelf.list(10, 100)
    assert list(elsewhere.iterdir()) == []


async def test_without_a_cache_nothing_is_kept(tmp_path: Path) -> None:
    shelf = CacheShelf(machine(tmp_path, SYSTEM), FileCache())
    await shelf.put("a.json", b"report")
    assert await shelf.list(10, 100) == {}
    await shelf.remove("a.json")


async def test_disks_that_cannot_be_read_are_told_as_a_cache_that_cannot_be_used(tmp_path: Path) -> None:
    class Broken(FileMachine):
        async def inventory(self, *, thorough: bool = True) -> Inventory:
            raise ToolFailed(f"sfdisk failed, {thorough}")

    machine(tmp_path)
    shelf = CacheShelf(Broken([tmp_path / "disk"]), FileCache())
    with pytest.raises(CacheError, match="sfdisk failed"):
        await shelf.put("a.json", b"report")


async def test_a_cache_that_is_made_anew_gets_all_that_is_kept(tmp_path: Path) -> None:
    """As Configurar does: it was formatted, with all that lay on it."""
    shelf = CacheShelf(machine(tmp_path), FileCache())
    for name in ("a.json", "b.json", "c.json"):
        await shelf.put(name, name.encode())
    await shelf.remove("b.json")
    shutil.rmtree(tmp_path / "disk.cache4")
    await shelf.put("d.json", b"d.json")
    assert await shelf.list(10, 100) == {name: name.encode() for name in ("a.json", "c.json", "d.json")}


async def test_what_an_earlier_agent_has_left_is_kept_as_well(tmp_path: Path) -> None:
    await CacheShelf(machine(tmp_path), FileCache()).put("a.json", b"first")
    shelf = CacheShelf(machine(tmp_path), FileCache())
    assert await shelf.list(10, 100) == {"a.json": b"first"}
    shutil.rmtree(tmp_path / "disk.cache4")
    await shelf.put("b.json", b"b")
    assert await shelf.list(10, 100) == {"a.json": b"first", "b.json": b"b"}


async def test_a_cache_that_comes_later_gets_what_waits_for_it(tmp_path: Path) -> None:
    found = machine(tmp_path, SYSTEM)
    shelf = CacheShelf(found, FileCache())
    await shelf.put("a.json", b"a")
    with (tmp_path / "disk").open("r+b") as file:
        write_table(file, 8 * MIB, (CACHE,))
    await shelf.put("b.json", b"b")
    assert await shelf.list(10, 100) == {"a.json": b"a", "b.json": b"b"}
