"""Captures into a directory that is full, fails at any call, knows no links, or is gone."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tests.faults.bench import WELL
from tests.faults.capturing import Capture, Studios, files_in

FAMILY: Final = "capture: directory"
HERE: Final = Capture(web=False)
FULL: Final = 14
LOCKED: Final = 4
UNREACHABLE: Final = 23
NOT_KEPT: Final = 91
MOVED: Final = "os.rename"
CALLS: Final = ("open", MOVED, "os.link", "os.remove", "os.mkdir")
NEVER: Final = 1 << 30

Failing = Callable[[str], None]
"""Gets what is about to be called; what it raises, the call raises."""
_watched: dict[str, Failing] = {}
"""By directory."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event in CALLS and isinstance(path := arguments[0], str | Path):
        for folder, failing in list(_watched.items()):
            if str(path).startswith(folder):
                failing(event)


sys.addaudithook(_audit)  # it cannot be taken away again


@contextmanager
def watched(folder: Path, failing: Failing) -> Iterator[None]:
    _watched[str(folder)] = failing
    try:
        yield
    finally:
        del _watched[str(folder)]


class Calls:
    """Number ``at`` of them fails with ``number``, or, ``ever``, all from there on."""

    def __init__(self, at: int, number: int, *, ever: bool = False) -> None:
        self._at = at
        self._number = number
        self._ever = ever
        self.made: list[str] = []

    def __call__(self, event: str) -> None:
        place = len(self.made)
        self.made.append(event)
        if place == self._at or (self._ever and place > self._at):
            raise OSError(self._number, os.strerror(self._number))


async def failing(studios: Studios, at: int, number: int, *, ever: bool = False) -> list[str]:
    name = f"{errno.errorcode[number]} at call {at}{' and ever after' * ever}"
    end = FULL if number == errno.ENOSPC else UNREACHABLE
    # The last calls read what is proven; a link that cannot be made is a copy.
    capture = replace(HERE, ends=(WELL,) if at == NEVER else (end, WELL), away=True)
    with studios.studio(FAMILY, name, capture) as studio:
        calls = Calls(at, number, ever=ever)
        with watched(studio.images, calls):
            ended = await studio.run()
        await studios.ended(studio, ended)
        return calls.made


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("ever", [False, True])
async def test_any_call_fails(studios: Studios, number: int, ever: bool) -> None:
    made = await failing(studios, NEVER, number)
    assert {"open", MOVED, "os.link", "os.remove"} <= set(made)
    step = 1 if number == errno.EIO else 3
    await studios.at_once(
        {f"{at}": partial(failing, studios, at, number, ever=ever) for at in range(0, len(made), step)}
    )


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK], ids=errno.errorcode.get)
async def test_no_links(studios: Studios, number: int) -> None:
    """What cannot have two names is copied."""

    def refuse(event: str) -> None:
        if event == "os.link":
            raise OSError(number, os.strerror(number))

    with studios.studio(FAMILY, f"no links: {errno.errorcode[number]}", HERE) as studio, watched(studio.images, refuse):
        await studios.ended(studio, await studio.run())


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Of this process: what is beyond is not written, with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [256 << 10, 1 << 20, 1_500_000])
async def test_full_in_the_middle_of_the_image(studios: Studios, size: int) -> None:
    with studios.studio(FAMILY, f"full after {size} bytes", replace(HERE, ends=(FULL,))) as studio:
        with no_file_larger_than(size):
            ended = await studio.run()
        await studios.ended(studio, ended)


async def gone(studios: Studios, at: int) -> int:
    """A share that is unmounted before a call, so that the empty directory below it is there; and mounted again when
    the job has ended, with the lock.
    """
    capture = replace(HERE, ends=(WELL,) if at == NEVER else (UNREACHABLE, NOT_KEPT, LOCKED), away=True)
    with studios.studio(FAMILY, f"gone before call {at}", capture) as studio:
        away, made = studio.images.with_name("away"), 0

        def vanish(_: str) -> None:
            nonlocal made
            made += 1
            if made == at + 1:
                studio.images.rename(away)
                studio.images.mkdir()

        with watched(studio.images, vanish):
            ended = await studio.run()
        if away.exists():
            below = files_in(studio.images)
            assert "x.img" not in below, "the image was named where the share is not"
            shutil.rmtree(studio.images)
            away.rename(studio.images)
        await studios.ended(studio, ended)
        return made


async def test_the_share_is_gone(studios: Studios) -> None:
    """From the moment on at which the lock is there; before that it is a repository without images."""
    count = await gone(studios, NEVER)
    first = 8
    await studios.at_once({f"{at}": partial(gone, studios, at) for at in range(first, count - 1, 2)})
