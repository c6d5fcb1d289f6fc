"""Deaths and power cuts at many moments: the next start brings all back. Moments are counted in writes, not in time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from shlex import quote

import pytest
from msgspec import Struct

from ogagent.errors import AgentError, CannotReduce
from ogagent.resize import reduce_ext, reduce_ntfs
from ogagent.resize.reduce import Reduction, grow_back, prepare
from ogagent.resize.reduce import reduce as make_smaller
from ogagent.resize.undo_file import read_undo_file
from tests.resize.faulty import Fault, spread
from tests.resize.movable import ext_files, lose_writes, make_ext, make_ntfs, make_tree, ntfs_in_use, run, size_of


class Bench(Struct):
    """``model`` is what ``path`` was before; ``told`` what is in it."""

    kind: str
    model: Path
    path: Path
    folder: Path
    fault: Fault
    told: object

    async def plan(self) -> Reduction:
        return await prepare(str(self.path), self.kind, self.folder, "job1")

    def again(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        run("cp", "--sparse=always", self.model, self.path)

    async def shrink(self, plan: Reduction) -> None:
        """As by an agent that dies with the program: nothing is taken back."""
        with suppress(AgentError):
            if self.kind == "ntfs":
                await reduce_ntfs.shrink(str(self.path), Path(plan.undo), plan.size, plan.target)
            else:
                await reduce_ext.shrink(str(self.path), Path(plan.undo), plan.room)

    async def writes(self, plan: Reduction) -> int:
        self.again()
        self.fault.plan(0)
        await self.shrink(plan)
        return self.fault.count

    async def assert_back(self, plan: Reduction) -> None:
        self.fault.plan(0)
        await grow_back(str(self.path), plan)
        assert size_of(self.path) == plan.size == size_of(self.model)
        if self.kind == "ntfs":
            run("ntfsresize", "--info", self.path)
        else:
            run("e2fsck", "-fn", self.path)
        assert contents(self.kind, self.path) == self.told
        assert list(self.folder.iterdir()) == []


def contents(kind: str, path: Path) -> object:
    if kind == "ntfs":
        return ntfs_in_use(path)
    scratch = path.with_suffix(".files")
    try:
        return ext_files(path, scratch)
    finally:
        shutil.rmtree(scratch)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Bench]:
    def make(kind: str, program: str) -> Bench:
        model = tmp_path / "model"
        if kind == "ntfs":
            make_ntfs(model)
        else:
            make_tree(tmp_path / "tree")
            make_ext(model, kind, tmp_path / "tree")
        fault = Fault(tmp_path / "bin", program)
        fault.plan(0)
        made = Bench(kind, model, tmp_path / "copy", tmp_path / "undo", fault, contents(kind, model))
        monkeypatch.setenv("PATH", str(fault.folder), prepend=os.pathsep)
        made.again()
        return made

    return make


async def fails(work: Awaitable[None], fault: Fault) -> bool:
    """Whether it did: where its program died, and only there. Of a superblock only what differs is written, the time
    perhaps: so a program may make one write less than it did before, and live.
    """
    try:
        await work
    except AgentError:
        assert fault.reached
        return True
    assert not fault.reached
    return False


@pytest.mark.parametrize(
    ("kind", "program", "points"),
    [("ext2", "resize2fs", 10), ("ext3", "resize2fs", 10), ("ext4", "resize2fs", 22), ("ntfs", "ntfsresize", 22)],
)
async def test_killed(bench: Callable[[str, str], Bench], kind: str, program: str, points: int) -> None:
    there, deaths = bench(kind, program), 0
    plan = await there.plan()
    for at in spread(await there.writes(plan), points):
        there.again()
        there.fault.plan(at)
        await there.shrink(plan)
        deaths += there.fault.reached  # as with ``fails``
        await there.assert_back(plan)
        await there.assert_back(plan)
    assert deaths >= points


@pytest.mark.parametrize(("kind", "program"), [("ext4", "resize2fs"), ("ntfs", "ntfsresize")])
async def test_a_program_that_dies_is_a_warning(bench: Callable[[str, str], Bench], kind: str, program: str) -> None:
    there = bench(kind, program)
    plan = await there.plan()
    there.fault.plan(await there.writes(plan) // 2)
    there.again()
    with pytest.raises(CannotReduce, match=f"{program} was ended by signal 9"):
        await make_smaller(str(there.path), plan)
    await there.assert_back(plan)


@pytest.mark.parametrize(("kind", "program"), [("ext4", "resize2fs"), ("ntfs", "ntfsresize")])
async def test_power_cut(bench: Callable[[str, str], Bench], kind: str, program: str) -> None:
    """The undo file is whole, for its writes are waited for; of what it undoes any half may have reached the disk."""
    there = bench(kind, program)
    plan = await there.plan()
    before, deaths = keep_checked(there), 0
    for at in spread(await there.writes(plan), 12):
        there.again()
        if kind != "ntfs":
            before.unlink(missing_ok=True)
        there.fault.plan(at)
        await there.shrink(plan)
        deaths += there.fault.reached
        entries = read_undo_file(Path(plan.undo)) if kind != "ntfs" else None
        if entries is None or not entries.finished:  # all that is written before it says so was waited for
            lose_writes(there.path, before, at)
        await there.assert_back(plan)
    assert deaths >= 12


def keep_checked(there: Bench) -> Path:
    """What was there when e2fsck had ended, whose writes are waited for."""
    if there.kind == "ntfs":
        return there.model
    before, script = there.path.with_suffix(".before"), there.fault.folder / "e2fsck"
    real = shutil.which("e2fsck", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    kept, copied = quote(str(before)), quote(str(there.path))
    script.write_text(f'#!/bin/sh\n{real} "$@"; s=$?\n[ -f {kept} ] || cp --sparse=always {copied} {kept}\nexit $s\n')
    script.chmod(0o755)
    return before


async def test_the_undo_file_is_waited_for(bench: Callable[[str, str], Bench]) -> None:
    """Where attributes of files are known, as in the CACHE: the letter S of lsattr(1)."""
    there = bench("ext4", "resize2fs")
    plan = await there.plan()
    await make_smaller(str(there.path), plan)
    assert "S" in run("lsattr", plan.undo).split()[0].decode()
    await there.assert_back(plan)


async def test_e2undo_killed(bench: Callable[[str, str], Bench]) -> None:
    there = bench("ext4", "resize2fs")
    plan = await there.plan()
    middle = await there.writes(plan) * 2 // 3
    e2undo = Fault(there.folder.with_name("bin2"), "e2undo")
    os.environ["PATH"] = f"{e2undo.folder}:{os.environ['PATH']}"

    async def half_made() -> None:
        there.again()
        there.fault.plan(middle)
        await there.shrink(plan)
        there.fault.plan(0)

    await half_made()
    e2undo.plan(0)
    await grow_back(str(there.path), plan)
    deaths = 0
    for at in spread(e2undo.count, 6):
        await half_made()
        for _ in range(2):
            e2undo.plan(at)
            deaths += await fails(grow_back(str(there.path), plan), e2undo)
        e2undo.plan(0)
        await there.assert_back(plan)
    assert deaths >= 12


async def test_growing_killed(bench: Callable[[str, str], Bench]) -> None:
    """One that was used while it was small is grown by resize2fs, which may die as well."""
    there = bench("ext4", "resize2fs")
    plan = await there.plan()
    there.fault.plan(0)
    await make_smaller(str(there.path), plan)
    Path(plan.undo).unlink()  # noqa: ASYNC240
    run("cp", "--sparse=always", there.path, there.model)
    os.truncate(there.model, plan.size)
    there.again()
    there.fault.plan(0)
    await grow_back(str(there.path), plan)
    deaths = 0
    for at in spread(there.fault.count, 6):
        there.again()
        there.fault.plan(at)
        deaths += await fails(grow_back(str(there.path), plan), there.fault)
        there.fault.plan(0)
        await grow_back(str(there.path), plan)
        assert size_of(there.path) == plan.size
        run("e2fsck", "-fn", there.path)
        assert contents("ext4", there.path) == there.told
    assert deaths >= 6


async def test_a_damaged_undo_file_is_not_played_back(bench: Callable[[str, str], Bench]) -> None:
    there = bench("ext4", "resize2fs")
    plan = await there.plan()
    there.fault.plan(await there.writes(plan) * 2 // 3)
    there.again()
    await there.shrink(plan)
    there.fault.plan(0)
    damage(Path(plan.undo))
    before = there.path.read_bytes()
    with pytest.raises(AgentError, match="checksum error") as failed:
        await grow_back(str(there.path), plan)
    assert "e2fsck -fy" in failed.value.hint
    assert there.path.read_bytes() == before


def damage(path: Path) -> None:
    """The first block that was saved, behind a header, a superblock and a block of keys: whether a key speaks of the
    last one goes by the very write at which it ended.
    """
    with path.open("r+b") as file:
        file.seek(3 * reduce_ext._GRAIN + 1000)
        file.write(b"damaged")
