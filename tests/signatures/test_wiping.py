"""What blkid, wipefs or cryptsetup find on a partition: a power cut while it is wiped leaves it whole or unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.signatures import judge
from tests.signatures.filesystems import filesystems
from tests.signatures.made import MADE
from tests.signatures.partition import make, power_cuts, rest, wiping
from tests.signatures.plant import SIZE
from tests.signatures.volumes import volumes

PLANTS: Final = {plant.name: plant for plant in (*volumes(), *filesystems())}


@pytest.mark.parametrize("name", PLANTS)
def test_a_signature(name: str, tmp_path: Path) -> None:
    plant = PLANTS[name]
    path = make(tmp_path / "partition", plant)
    known = judge.found(path)
    assert known == {plant.kind} or (plant.newer and not known)
    assert judge.shown(path) <= known
    before = rest(path, plant.pages)
    for cut in power_cuts(path, wiping(path)):
        assert not judge.found(path) or rest(path, plant.pages) == before, cut
    assert not judge.found(path)
    assert not judge.shown(path)
    assert not any(rest(path, set()))


@pytest.mark.parametrize("name", MADE)
def test_what_programs_make(name: str, tmp_path: Path) -> None:
    made = MADE[name]
    path = tmp_path / "partition"
    with path.open("xb") as file:
        file.truncate(SIZE)
    made.make(path)
    assert made.kinds <= judge.found(path)
    assert made.kinds & judge.shown(path) or name == "GPT"
    before = rest(path, made.pages)
    encrypted = "crypto_LUKS" in made.kinds
    assert not encrypted or judge.opens(path)
    for cut in power_cuts(path, wiping(path)):
        known = judge.found(path) or (encrypted and judge.opens(path))
        assert not known or rest(path, made.pages) == before, cut
    assert not judge.found(path) | judge.shown(path)
    assert not encrypted or not judge.opens(path)
