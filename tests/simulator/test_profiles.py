"""Machines as data: each profile makes disks, and the agent sees on them what the profile says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ogagent.disk.codes import partition_code
from simulator.errors import LabError
from simulator.machine.file_machine import FileMachine
from simulator.machine.making import copy_sparse, make_disk
from simulator.machine.profile import DIRECTORY, GPT_TYPES, MSDOS_TYPES, known_profile, read_profile

PROFILES = sorted(path.stem for path in DIRECTORY.glob("*.json"))
TOOLS = {"vfat": "mkfs.vfat", "ntfs": "mkfs.ntfs"}
FILESYSTEMS = {"": "", "noise": "", "old-system": "ext4"}


@pytest.mark.parametrize("name", PROFILES)
async def test_the_agent_sees_what_the_profile_says(name: str, tmp_path: Path) -> None:
    profile = known_profile(name)
    files = [tmp_path / f"{number}.raw" for number, _ in enumerate(profile.disks)]
    for file, disk in zip(files, profile.disks, strict=True):
        make_disk(file, disk)
    inventory = await FileMachine(files, profile=profile).inventory()
    for seen, meant in zip(inventory.disks, profile.disks, strict=True):
        assert (seen.model, seen.size, seen.table, seen.sector_size) == (
            *(meant.model, meant.size, meant.table, meant.sector_size),
        )
        for part, wanted in zip(seen.partitions, meant.partitions, strict=True):
            assert (part.partition, part.start, part.size) == (wanted.number, wanted.start, wanted.size)
            assert part.mounted == (wanted.mounted or None)
            kind = wanted.kind
            assert meant.table
            code = GPT_TYPES[kind] if meant.table == "gpt" else f"{MSDOS_TYPES[kind]:x}"
            assert part.cache == (kind == "cache")
            if not part.cache:
                assert part.code == partition_code(meant.table, code)
            if shutil.which(TOOLS.get(wanted.content, "true")):
                assert part.filesystem == FILESYSTEMS.get(wanted.content, wanted.content)
                assert part.label == (wanted.label if part.filesystem else "")
    assert len(profile.reason) > 20
    number, partition = profile.target
    disk = profile.disks[number - 1]
    assert disk.table is None or disk.partition(partition).kind == "linux"


def test_a_sparse_copy_is_the_same_and_stays_sparse(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    make_disk(original, known_profile("classroom").disks[0])
    copy_sparse(original, copy)
    assert copy.read_bytes() == original.read_bytes()
    assert copy.stat().st_blocks <= original.stat().st_blocks + 64


@pytest.mark.parametrize("text", ["", "[]", '{"reason": "x", "target": [1, 2], "disks": [], "surprise": 1}', "\xff"])
def test_what_is_no_profile_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "machine.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(LabError, match=r"machine\.json"):
        read_profile(file)
    with pytest.raises(LabError, match="absent"):
        read_profile(tmp_path / "absent")
