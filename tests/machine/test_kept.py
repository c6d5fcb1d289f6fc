"""What is kept between runs."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.machine.kept import Recipe, awaited, is_kept, kept, nobody_else, words_of


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with nobody_else():
        return tmp_path / "cache/ogagent-machines"


def fill(folder: Path) -> None:
    (folder / "disk.img").write_text("made")


def fail(_folder: Path) -> None:
    raise AssertionError


def test_it_is_made_once(shelf: Path) -> None:
    recipe = Recipe("model", ("bookworm", "grub-pc"))
    assert not is_kept(recipe)
    place = kept(recipe, fill)
    assert is_kept(recipe)
    assert kept(recipe, fail) == place
    assert (place / "disk.img").read_text() == "made"


def test_another_list_makes_it_anew_and_what_nobody_uses_goes(shelf: Path) -> None:
    unused = kept(Recipe("model", ("buster", "grub-pc")), fill)
    os.utime(unused, (0, 0))
    used = kept(Recipe("model", ("bookworm", "grub-pc")), fill)
    other = kept(Recipe("live", ("bookworm",)), fill)
    new = kept(Recipe("model", ("bookworm", "grub-pc", "zstd")), fill)
    assert sorted(shelf.glob("[!.]*")) == sorted([used, other, new])


def test_what_failed_is_not_kept_and_goes_with_the_next_one(shelf: Path) -> None:
    recipe = Recipe("model", ("bookworm",))
    with pytest.raises(AssertionError):
        kept(recipe, fail)
    assert not is_kept(recipe)
    place = kept(recipe, fill)
    assert [each for each in shelf.iterdir() if each.is_dir()] == [place]


def test_contents_and_modes_are_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text("echo")
    before = list(words_of([file]))
    file.chmod(0o755)
    executable = list(words_of([file]))
    file.write_text("exit")
    assert before != executable != list(words_of([file]))


def test_it_is_awaited_as_long_as_somebody_makes_it(shelf: Path) -> None:
    recipe = Recipe("model", ("bookworm",))
    assert not awaited(recipe)
    with nobody_else(), ThreadPoolExecutor() as pool:
        answer = pool.submit(awaited, recipe)
        kept(recipe, fill)
        assert answer.result()
        assert awaited(Recipe("model", ("bookworm",)))
