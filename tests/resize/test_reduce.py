"""File systems in plain files made smaller and brought back: what is in them is what it was, and so is their size."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from ogagent.errors import CannotReduce, ToolFailed
from ogagent.resize.reduce import Reduction, grow_back, prepare, reducible
from ogagent.resize.reduce import reduce as make_smaller
from tests.resize.faulty import Fault
from tests.resize.movable import (
    EXT_SIZE,
    NTFS_SIZE,
    copy_of_boot_sector,
    ext_files,
    make_ext,
    make_ntfs,
    make_tree,
    ntfs_files,
    ntfs_in_use,
    run,
    size_of,
    write_log,
)

_BLOCKS = {"ext2": 1024, "ext3": 2048, "ext4": 4096}


def model(folder: Path, kind: str) -> Path:
    path, tree = folder / "model", folder / "tree"
    make_tree(tree)
    make_ext(path, kind, tree, block_size=_BLOCKS[kind])
    return path


def undo_folder(folder: Path) -> Path:
    made = folder / "undo"
    made.mkdir(exist_ok=True)
    return made


def test_what_can_be_made_smaller() -> None:
    assert [
        each for each in ("ext2", "ext3", "ext4", "ntfs", "xfs", "vfat", "btrfs", "", "swap") if reducible(each)
    ] == [
        "ext2",
        "ext3",
        "ext4",
        "ntfs",
    ]


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
async def test_ext_there_and_back(tmp_path: Path, kind: str) -> None:
    path = model(tmp_path, kind)
    before, folder = ext_files(path, tmp_path / "before"), undo_folder(tmp_path)
    plan = await prepare(str(path), kind, folder, "job1")
    assert plan == msgspec.json.decode(msgspec.json.encode(plan), type=Reduction)
    assert plan.size == EXT_SIZE
    small = await make_smaller(str(path), plan)
    assert small == size_of(path) < EXT_SIZE * 3 // 4
    run("e2fsck", "-fn", path)
    assert ext_files(path, tmp_path / "small") == before
    for _ in range(2):
        await grow_back(str(path), plan)
        assert size_of(path) == EXT_SIZE
        run("e2fsck", "-fn", path)
    assert ext_files(path, tmp_path / "after") == before
    assert list(folder.iterdir()) == []


async def test_ntfs_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "model"
    files, folder = make_ntfs(path), undo_folder(tmp_path)
    before = ntfs_in_use(path)
    plan = await prepare(str(path), "ntfs", folder, "job1")
    assert plan.size == size_of(path)
    small = await make_smaller(str(path), plan)
    assert small == size_of(path) == plan.target < NTFS_SIZE * 3 // 4
    run("ntfsresize", "--info", path)  # it refuses one that is marked for chkdsk
    assert ntfs_files(path, files) == files
    for _ in range(2):
        await grow_back(str(path), plan)
        assert size_of(path) == plan.size
        run("ntfsresize", "--info", path)
    assert ntfs_in_use(path) == before
    assert list(folder.iterdir()) == []


async def test_the_small_ntfs_is_whole_where_it_ends(tmp_path: Path) -> None:
    """Also cut off there, as in a partition of that size: with the copy of its boot sector in its last sector."""
    path = tmp_path / "model"
    files = make_ntfs(path)
    small = await make_smaller(str(path), await prepare(str(path), "ntfs", undo_folder(tmp_path), "job1"))
    os.truncate(path, small)
    run("ntfsresize", "--info", path)
    assert ntfs_files(path, files) == files
    assert copy_of_boot_sector(path) == path.read_bytes()[:512]


@pytest.mark.parametrize("kind", ["ext4", "ntfs"])
async def test_what_is_as_small_as_it_goes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    if kind == "ntfs":
        path.touch()
        os.truncate(path, 16 << 20)
        run("mkfs.ntfs", "-q", "-F", "-f", path)
    else:
        run("mke2fs", "-q", "-t", "ext4", path, "16M")
        run("resize2fs", "-M", path)
        run("resize2fs", "-M", path)
    size, folder = size_of(path), undo_folder(tmp_path)
    plan = await prepare(str(path), kind, folder, "job1")
    assert await make_smaller(str(path), plan) == size
    await grow_back(str(path), plan)
    assert size_of(path) == size
    assert list(folder.iterdir()) == []


# --- what is left alone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ssv state 0", "was not left cleanly"),
        ("ssv state 3", "was not left cleanly"),
        ("feature needs_recovery", "was not left cleanly"),
        ("feature stable_inodes", "it has the stable_inodes feature flag"),
    ],
)
async def test_ext_that_stays(tmp_path: Path, change: str, reason: str) -> None:
    path = model(tmp_path, "ext4")
    run("debugfs", "-w", "-R", change, path)
    await stays(path, "ext4", reason)


async def test_ext_with_bad_blocks_stays(tmp_path: Path) -> None:
    path, bad = model(tmp_path, "ext4"), tmp_path / "bad"
    bad.write_text("20000\n")
    run("e2fsck", "-fy", "-l", bad, path, good=(0, 1))
    await stays(path, "ext4", "has bad blocks")


async def test_ntfs_that_is_marked_for_chkdsk_stays(tmp_path: Path) -> None:
    path = tmp_path / "model"
    make_ntfs(path)
    run("ntfsfix", path)
    await stays(path, "ntfs", "scheduled for check")


async def test_ntfs_that_sleeps_stays(tmp_path: Path) -> None:
    path, part = tmp_path / "model", tmp_path / "part"
    make_ntfs(path)
    part.write_bytes(b"hibr" + bytes(8192))
    run("ntfscp", "-q", path, part, "hiberfil.sys")
    await stays(path, "ntfs", "sleeps")


@pytest.mark.parametrize(("version", "flags"), [(1, 0), (2, 2)])
async def test_ntfs_that_windows_has_not_left_cleanly_stays(tmp_path: Path, version: int, flags: int) -> None:
    path = tmp_path / "model"
    make_ntfs(path)
    write_log(path, version, flags)
    await stays(path, "ntfs", "was not shut down cleanly")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("ext4", "does not hold an ext2"), ("ntfs", "does not hold an NTFS"), ("xfs", "xfs on .* cannot be made smaller")],
)
async def test_what_is_none_stays(tmp_path: Path, kind: str, reason: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(bytes(EXT_SIZE))
    await stays(path, kind, reason)


async def stays(path: Path, kind: str, reason: str) -> None:
    """Whether ``prepare`` tells, or only ``reduce``."""
    before, folder = content(path), undo_folder(path.parent)
    with pytest.raises(CannotReduce, match=reason) as refused:
        await make_smaller(str(path), await prepare(str(path), kind, folder, "job1"))
    assert (refused.value.number, refused.value.code) == (17, "filesystem-not-reduced")
    assert list(folder.iterdir()) == []
    assert content(path) == before


def content(path: Path) -> str:
    """But for the first block: e2fsck writes there that it has looked."""
    return hashlib.sha256(path.read_bytes()[4096:]).hexdigest()


# --- a cancel -----------------------------------------------------------------------------------------------------


async def reached(fault: Fault) -> None:
    async with asyncio.timeout(300):
        while not fault.reached:  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.01)


async def cancelled(path: Path, plan: Reduction, fault: Fault) -> None:
    fault.plan(100, "wait")
    task = asyncio.ensure_future(make_smaller(str(path), plan))
    await reached(fault)
    assert size_of(path) == plan.size
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert size_of(path) == plan.size
    assert list(Path(plan.undo).parent.iterdir()) == []


async def test_a_cancelled_ext_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path, "ext4")
    before = ext_files(path, tmp_path / "before")
    plan = await prepare(str(path), "ext4", undo_folder(tmp_path), "job1")
    fault = Fault(tmp_path / "bin", "resize2fs")
    monkeypatch.setenv("PATH", str(fault.folder), prepend=os.pathsep)
    await cancelled(path, plan, fault)
    run("e2fsck", "-fn", path)
    assert ext_files(path, tmp_path / "after") == before


async def test_a_cancelled_ntfs_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    make_ntfs(path)
    before = ntfs_in_use(path)
    plan = await prepare(str(path), "ntfs", undo_folder(tmp_path), "job1")
    fault = Fault(tmp_path / "bin", "ntfsresize")
    monkeypatch.setenv("PATH", str(fault.folder), prepend=os.pathsep)
    await cancelled(path, plan, fault)
    fault.plan(0)
    run("ntfsresize", "--info", path)
    assert ntfs_in_use(path) == before


# --- somebody has used the small one ------------------------------------------------------------------------------


async def test_an_ext_used_meanwhile_is_grown_as_it_is(tmp_path: Path) -> None:
    path = model(tmp_path, "ext4")
    plan = await prepare(str(path), "ext4", undo_folder(tmp_path), "job1")
    await make_smaller(str(path), plan)
    os.truncate(path, EXT_SIZE)  # a partition has all of its bytes
    written = tmp_path / "written"
    written.write_bytes(b"since")
    run("debugfs", "-w", "-R", f'write "{written}" written', path)
    files = ext_files(path, tmp_path / "before")
    assert "written" in files
    for _ in range(2):
        await grow_back(str(path), plan)
        assert size_of(path) == plan.size
    run("e2fsck", "-fn", path)
    assert ext_files(path, tmp_path / "after") == files


async def test_an_ntfs_used_meanwhile_is_grown_as_it_is(tmp_path: Path) -> None:
    path, written = tmp_path / "model", tmp_path / "written"
    files = make_ntfs(path)
    plan = await prepare(str(path), "ntfs", undo_folder(tmp_path), "job1")
    await make_smaller(str(path), plan)
    written.write_bytes(b"since" * 4000)
    run("ntfscp", "-q", path, written, "written")
    write_log(path, 1, 2)
    for _ in range(2):
        await grow_back(str(path), plan)
        assert size_of(path) == plan.size
    run("ntfsresize", "--info", path)
    files["written"] = written.read_bytes()
    assert ntfs_files(path, files) == files
    assert copy_of_boot_sector(path) == path.read_bytes()[:512]


# --- what cannot be brought back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ext4", "ntfs"])
async def test_the_folder_is_not_there(tmp_path: Path, kind: str) -> None:
    """A CACHE that is not mounted yet, say: nothing is touched."""
    path = tmp_path / "model"
    make_ntfs(path) if kind == "ntfs" else model(tmp_path, kind)
    folder = undo_folder(tmp_path)
    plan = await prepare(str(path), kind, folder, "job1")
    await make_smaller(str(path), plan)
    before = path.read_bytes()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ToolFailed, match="cannot be brought back") as failed:
        await grow_back(str(path), plan)
    assert "tries again" in failed.value.hint
    assert path.read_bytes() == before
    (tmp_path / "elsewhere").rename(folder)
    await grow_back(str(path), plan)
    assert size_of(path) == plan.size
