"""Captures of a model that cannot be read, lies, vanishes, or is changed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.errors import WriteFailed
from ogagent.model.plan import Target
from simulator.machine.file_models import FileModels
from tests.faults.bench import WELL
from tests.faults.capturing import Capture, Ended, Studio, Studios
from tests.faults.models import BLOCK, MIB, MODEL, Reads, debugfs, the_model

FAMILY: Final = "capture: model"
NOT_READ: Final = 5
CHANGED: Final = 3
LABEL: Final = 1024 + 0x78
"""linux/fs/ext4/ext4.h, s_volume_name: a byte of the superblock that nobody looks at."""
HERE: Final = Capture(web=False)


def used(share: float) -> int:
    """A byte in use, so far into those that are."""
    numbers = [number for blocks in the_model().blocks.ranges for number in blocks]
    return numbers[int(share * (len(numbers) - 1))] * BLOCK + 17


async def test_it_goes_well(studios: Studios) -> None:
    ended = await studios.run_cells(
        FAMILY, {"a directory": HERE, "a web server": Capture(), "all at once": replace(HERE, reduce=True)}
    )
    for each in ended:
        counts = each.progress.counts
        assert counts.read == counts.total == the_model().used
        assert counts.packed == counts.delivered == counts.verified == counts.image


# --- it cannot be read ------------------------------------------------------------------------------------------------


async def test_what_is_in_use_cannot_be_read(studios: Studios) -> None:
    """There is no image with a hole."""
    places = {"its beginning": 0, "the first region": used(0.01), "the middle": used(0.5), "the last used": used(1)}
    ended = await studios.run_cells(
        FAMILY,
        {
            f"{reads} is unreadable{', reduced' * wanted}": replace(
                HERE, faults=(f"disk:unreadable@{place}",), ends=(NOT_READ,), says="cannot be read", reduce=wanted
            )
            for reads, place in places.items()
            for wanted in (False, True)
        },
    )
    assert all("smartctl" in each.job.error.hint for each in ended if each.job.error)


async def test_what_is_not_in_use_cannot_be_read(studios: Studios) -> None:
    """Also where it is read along, since it lies between blocks that are."""
    free = the_model().free
    assert any(len(blocks) * BLOCK < 64 << 10 for blocks in free)
    blocks = {(hole.start, hole[len(hole) // 2], hole[-1]) for hole in free}
    await studios.run_cells(
        FAMILY,
        {
            f"the free block {block} is unreadable": replace(HERE, faults=(f"disk:unreadable@{block * BLOCK + 9}",))
            for some in blocks
            for block in some
        },
    )


async def vanishing(studios: Studios, at: int) -> int:
    """How many reads there were."""
    with studios.studio(FAMILY, f"the disk is gone at read {at}", replace(HERE, ends=(NOT_READ,))) as studio:
        away = studio.disk.with_name("away")

        def vanish(number: int) -> None:
            if number == at:
                studio.disk.rename(away)
            if number >= at:
                raise WriteFailed(f"reading {studio.disk} failed: No such device (ENODEV)")

        studio.machine = reads = Reads(studio.machine, vanish)
        ended = await studio.run()
        if away.exists():
            away.rename(studio.disk)
        else:
            studio.capture = HERE
        await studios.ended(studio, ended)
        return reads.count


async def test_the_disk_vanishes(studios: Studios) -> None:
    count = await vanishing(studios, 1 << 30)
    assert count > 5
    await studios.at_once({str(at): partial(vanishing, studios, at) for at in range(count)})


class OnceOnly(FileModels):
    """Its map of blocks can be read before, and not afterwards."""

    def __init__(self) -> None:
        self.asked = 0

    async def beginning(self, target: Target, filesystem: str) -> bytes:
        self.asked += 1
        if self.asked > 1:
            target = replace(target, disk_device=f"{target.disk_device}.gone")
        return await super().beginning(target, filesystem)


async def test_its_map_cannot_be_read_again(studios: Studios) -> None:
    with studios.studio(FAMILY, "the map cannot be read again", replace(HERE, ends=(NOT_READ,))) as studio:
        studio.models = OnceOnly()
        await studios.ended(studio, await studio.run())


# --- it lies ----------------------------------------------------------------------------------------------------------


async def misread(studios: Studios, name: str, fault: str, place: int, *, noticed: bool) -> None:
    capture = replace(HERE, faults=(fault,), ends=(CHANGED if noticed else WELL,))
    with studios.studio(FAMILY, f"misread: {name}", capture) as studio:
        if not noticed:
            disk = bytearray(studio.model.disk)
            disk[MODEL.start + place] ^= 1
            studio.shown = replace(studio.model, disk=bytes(disk))
        await studios.ended(studio, await studio.run())


async def test_it_reads_as_something_else(studios: Studios) -> None:
    """All of it is read once, and nothing beside it tells what it was: a disk that lies is believed. Only the
    superblock is looked at before and after.
    """
    await misread(studios, "a file", f"disk:misread@{used(0.9)}", used(0.9), noticed=False)
    await misread(studios, "the superblock, before", f"disk:misread@{LABEL}=1", LABEL, noticed=True)
    await misread(studios, "the superblock, meanwhile", f"disk:misread@{LABEL}=2", LABEL, noticed=False)
    await misread(studios, "the superblock, after", f"disk:misread@{LABEL}=3", LABEL, noticed=True)
    await misread(studios, "the superblock, ever", f"disk:misread@{LABEL}", LABEL, noticed=False)


# --- somebody else writes to it ---------------------------------------------------------------------------------------

Writer = Callable[[Studio], None]


async def written(studios: Studios, name: str, at: int, write: Writer, ends: int) -> Ended:
    """``write`` is done before read number ``at``."""
    with studios.studio(FAMILY, f"{name} before read {at}", replace(HERE, ends=(ends,))) as studio:

        def reading(number: int) -> None:
            if number == at:
                write(studio)
                now = replace(studio.model, disk=studio.disk.read_bytes())
                studio.model, studio.shown = now, studio.shown if at > 1 else now

        studio.machine = Reads(studio.machine, reading)
        ended = await studio.run()
        assert studio.model.disk != the_model().disk
        return await studios.ended(studio, ended)


def allocates(studio: Studio) -> None:
    debugfs(studio.disk, f'write "{studio.folder / "token"}" /new')


def frees(studio: Studio) -> None:
    debugfs(studio.disk, "rm /small-7")


def overwrites(studio: Studio) -> None:
    with studio.disk.open("r+b") as disk:
        disk.seek(MODEL.start + used(0.3))
        disk.write(b"other")


@pytest.mark.parametrize("write", [allocates, frees])
async def test_other_blocks_are_in_use_afterwards(studios: Studios, write: Writer) -> None:
    """Between the map and the first block, in the middle, and before the second look."""
    for at in (1, 4, 8):
        ended = await written(studios, write.__name__, at, write, CHANGED)
        assert ended.job.error is not None
        assert "was changed while it was read" in ended.job.error.message


async def test_other_bytes_are_in_the_same_blocks(studios: Studios) -> None:
    """Nobody can mount it meanwhile; who writes to the device itself, and into a file only, is not noticed: the image
    has what was read.
    """
    await written(studios, "overwrites", 6, overwrites, WELL)
    await written(studios, "overwrites", 1, overwrites, WELL)


# --- its file system is out of order ----------------------------------------------------------------------------------

BROKEN: Final = {
    "a bitmap beyond the device": ("set_bg 0 block_bitmap 999999", "set_bg 0 checksum calc"),
    "a table of inodes beyond the device": ("set_bg 0 inode_table 999999", "set_bg 0 checksum calc"),
    "more blocks than the device": (f"ssv blocks_count {64 * MIB // BLOCK}",),
    "fewer free blocks than it says": ("ssv free_blocks_count 7",),
    "not unmounted": ("ssv state 0",),
    "errors": ("ssv state 3",),
    "a journal to be replayed": ("feature needs_recovery",),
    "files being deleted": ("ssv last_orphan 12",),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_file_system_out_of_order(studios: Studios, name: str) -> None:
    with studios.studio(FAMILY, name, replace(HERE, ends=(NOT_READ, CHANGED))) as studio:
        await asyncio.to_thread(debugfs, studio.disk, *BROKEN[name])
        studio.model = replace(studio.model, disk=studio.disk.read_bytes())
        assert studio.model.disk != the_model().disk
        ended = await studios.ended(studio, await studio.run())
        assert not ended.progress.touched
