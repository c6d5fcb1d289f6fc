"""All steps of a Windows one after the other, and an agent that dies at any point: what it finds is taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.finish.bcd import NameBootDevices, stores
from ogagent.finish.drive import MsdosPlace
from ogagent.finish.hive import copied
from ogagent.finish.reg_text import Values
from ogagent.finish.step import Step
from ogagent.finish.windows import LetterDrive, NameComputer, computer_name, drive_id, look
from tests.finish.folder import Folder
from tests.finish.windows_twin import (
    BOOT_MANAGER,
    LOADER,
    STORE,
    SYSTEM,
    make_store,
    make_windows,
    msdos_device,
    needs_hivex,
    store_object,
)

pytestmark = needs_hivex
HERE = MsdosPlace(0x11223344, 500 << 20)


class Killed(BaseException):
    pass


class Dying(Folder):
    """Of the files that are replaced, the one of number ``last`` is the last: the agent dies before or after it."""

    def __init__(self, root: Path, last: int, *, after: bool) -> None:
        super().__init__(root)
        self._last = last
        self._after = after

    def replace(self, path: str, content: bytes, mode: int = 0o644) -> None:
        is_last = len(self.replaced) + 1 == self._last
        if is_last and not self._after:
            raise Killed
        super().replace(path, content, mode)
        if is_last:
            raise Killed


def made(tmp_path: Path) -> Path:
    root = make_windows(tmp_path / "root")
    manager = store_object(BOOT_MANAGER, 0x10100002, _11000001=msdos_device())
    loader = store_object(LOADER, 0x10200003, _11000001=msdos_device(), _21000001=msdos_device())
    make_store(root, manager + loader)
    return root


async def steps(files: Folder, work: Path) -> list[Step]:
    """As they are planned, each time anew: what the partition was to the model is not written down anywhere."""
    system = await look(files, work)
    assert system is not None
    former = await drive_id(files, system, work)
    return [
        NameComputer(files, system, work, computer_name("pc07")),
        *(NameBootDevices(files, path, work, former=former, here=HERE, own=False) for path in stores(files)),
        LetterDrive(files, system, work, HERE),
    ]


async def finish(files: Folder, work: Path) -> list[str]:
    """The names of what had to be done."""
    done = []
    for step in await steps(files, work):
        if await step.needed():
            await step.do()
            done.append(step.name)
        await step.proof()
    return done


async def content(root: Path, work: Path) -> list[dict[str, Values]]:
    found = []
    for path in (SYSTEM, STORE):
        async with copied(Folder(root), path, work) as hive:
            found.append(await hive.below("\\"))
    return found


async def test_all_of_it(tmp_path: Path) -> None:
    root = made(tmp_path)
    assert await finish(Folder(root), tmp_path) == ["computer name", "boot devices, Boot/BCD", "drive letter"]
    again = Folder(root)
    assert await finish(again, tmp_path) == []
    assert again.replaced == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("last", [1, 2, 3])
async def test_killed_at_any_point(tmp_path: Path, last: int, after: bool) -> None:
    whole, root = made(tmp_path / "whole"), made(tmp_path / "killed")
    await finish(Folder(whole), tmp_path)
    with pytest.raises(Killed):
        await finish(Dying(root, last, after=after), tmp_path)
    await finish(Folder(root), tmp_path)
    assert await content(root, tmp_path) == await content(whole, tmp_path)
