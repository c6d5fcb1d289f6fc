"""uftp, with the sender of upstream."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.crowd.station import ENGINE, Station
from ogagent.crowd.uftp import Uftp
from ogagent.errors import CrowdError, MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from tests.crowd.kept import Kept
from tests.crowd.senders import CARD, NETWORKS, OTHER, another_pc, crowded, running, words_heard
from tests.crowd.senders import PORT as OTHERS

__all__ = ["crowded"]

pytestmark = [pytest.mark.usefixtures("crowded"), pytest.mark.xdist_group("multicast")]

PORT: Final = 9200
GROUP: Final = "239.194.17.3"
NAME: Final = "ubuntu.img"
SESSION: Final = Session(engine="uftp", port=PORT, address=GROUP)
TALK: Final = "2026/11/30 19:18:43.409847: [35B761D2/00:0001]"
RESULT: Final = "RESULT;2026/11/30-19:18:45;0A4E0002;35B761D2"
"""How lines of uftpd begin."""
STATION: Final = Station(interface=CARD, join_timeout_s=60, stall_s=60, account=ENGINE, networks=NETWORKS)


@asynccontextmanager
async def sender(
    kept: Kept, *more: str, kbits: int = 100_000, name: str = NAME
) -> AsyncIterator[asyncio.subprocess.Process]:
    """From the other PC: a receiver on the sender's own machine would hear itself."""
    image = kept.folder.with_name("sent.img")
    image.write_bytes(kept.data)
    command = ["uftp", "-a", "3", "-N", "20", "-m", "2", "-R", f"{kbits}", "-I", CARD, "-p", f"{PORT}", "-M", GROUP]
    command += ["-P", GROUP, "-t", "16", *more, "-D", name, f"{image}"]
    async with running("ip", "netns", "exec", OTHER, *command) as process:
        yield process


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    if shutil.which("uftpd") is None:
        pytest.skip("uftp is not installed")
    return Kept(tmp_path / "pc")


def receiver(kept: Kept, **changes: object) -> Uftp:
    return Uftp(SESSION, replace(STATION, **changes), NAME, len(kept.data), kept, time.monotonic)


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """A uftpd that ``does`` this in the shell, where ``FOLDER`` is that of ``-D``. Only root reaches it."""
    program = folder / "bin" / "uftpd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nwhile [ "$1" != -D ]; do shift; done\nFOLDER=$2\n{does}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}", prepend=os.pathsep)


async def taken(arrivals: Uftp) -> None:
    async with aclosing(arrivals.stretches()) as stretches:
        async for _ in stretches:
            pass


async def test_all_of_it(kept: Kept) -> None:
    async with sender(kept):
        await taken(receiver(kept))
    assert kept.file.read_bytes() == kept.data
    assert kept.come == [(0, len(kept.data))]


async def test_what_was_wrong_is_told_again(kept: Kept) -> None:
    """A later pass may have mended it."""
    async with sender(kept):
        arrivals, told = receiver(kept), list[tuple[int, int]]()
        async with aclosing(arrivals.stretches()) as stretches:
            async for stretch in stretches:
                if not told:
                    arrivals.wrong(10, 20)
                told.append(stretch)
    assert (10, 20) in told


async def test_what_is_wrong_is_not_told_again_while_nothing_comes(kept: Kept) -> None:
    """Whoever is told proves all of it, which takes a processor."""
    arrivals, told = receiver(kept, stall_s=5), list[tuple[int, int]]()
    async with sender(kept, kbits=10_000) as process, aclosing(arrivals.stretches()) as stretches:
        await anext(stretches)
        process.kill()
        arrivals.wrong(10, 20)
        with suppress(CrowdError):
            async for stretch in stretches:
                arrivals.wrong(10, 20)
                told.append(stretch)
    assert told.count((10, 20)) <= 3


async def test_another_image_of_the_same_name(kept: Kept) -> None:
    """It is longer, and would fill the CACHE: it is left before its end."""
    async with sender(kept, kbits=20_000) as process:
        arrivals = Uftp(SESSION, STATION, NAME, len(kept.data) // 2, kept, time.monotonic)
        with pytest.raises(MulticastFailed, match="longer than the image"):
            await taken(arrivals)
        await process.communicate()
    assert process.returncode, "it was left before its end"


@pytest.mark.parametrize("name", ["other.img", f"sub/{NAME}"])
async def test_another_file(kept: Kept, name: str) -> None:
    """It would fill the CACHE, too."""
    async with sender(kept, kbits=20_000, name=name) as process:
        with pytest.raises(MulticastFailed, match="another file") as caught:
            await taken(receiver(kept))
        await process.communicate()
    assert process.returncode, "it was left before its end"
    assert "another session" in caught.value.hint


async def test_no_file_becomes_longer_than_the_image(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes faster than anybody looks is ended."""
    last = len(kept.data) - 1
    fake(tmp_path, monkeypatch, f"yes | dd of=$FOLDER/{NAME} bs=1 count=9 seek={last} conv=notrunc; sleep inf")
    with pytest.raises(MulticastFailed, match="longer than the image"):
        await taken(receiver(kept, account=None))
    assert kept.file.stat().st_size == len(kept.data) + 1


@pytest.mark.parametrize("name", ["other.img", f"sub/{NAME}", f"{NAME};{NAME}"])
async def test_another_file_has_been_copied(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fake(tmp_path, monkeypatch, f"echo '{RESULT};{name};1KB;copied'; sleep inf")
    with pytest.raises(MulticastFailed, match="another file") as caught:
        await taken(receiver(kept, account=None))
    assert "another session" in caught.value.hint


@pytest.mark.parametrize("name", ["a" * 200 + ".img", "abort;timeout.img"])
async def test_odd_names(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """They are long, or have words in them that uftpd has for other things."""
    says = f"{TALK}: Name of file to receive: {name}\n{RESULT};{name};1KB;copied"
    fake(tmp_path, monkeypatch, f"printf '%s\\n' '{says}'; sleep inf")
    await taken(Uftp(SESSION, replace(STATION, account=None), name, len(kept.data), kept, time.monotonic))


async def test_who_gets_it_tells_others(kept: Kept) -> None:
    async with words_heard() as heard, sender(kept), aclosing(receiver(kept).stretches()) as stretches:
        await anext(stretches)
        while not (await heard()).receiving:
            pass


async def test_it_has_begun_without_this_pc(kept: Kept) -> None:
    arrivals = Uftp(replace(SESSION, port=OTHERS), STATION, NAME, len(kept.data), kept, time.monotonic)
    async with another_pc("receives"):
        with pytest.raises(SessionNotJoined, match="has begun without this PC"):
            await taken(arrivals)


async def test_who_gets_less_than_others_leaves(kept: Kept) -> None:
    """The repository gives it the rest sooner than a later pass would."""
    async with sender(kept, "-p", f"{OTHERS}", kbits=5_000):
        arrivals = Uftp(replace(SESSION, port=OTHERS), STATION, NAME, len(kept.data), kept, time.monotonic)
        async with aclosing(arrivals.stretches()) as stretches:
            await anext(stretches)
            async with another_pc("boasts"):
                with pytest.raises(MulticastFailed, match=r"gets \d+% of the packets that others get"):
                    async for _ in stretches:
                        pass


async def test_nobody_sends(kept: Kept) -> None:
    with pytest.raises(SessionNotJoined, match="nobody sends"):
        await taken(receiver(kept, join_timeout_s=0.5))


async def test_a_session_that_begins_late(kept: Kept) -> None:
    """Whoever has waited for it longer than anybody waits within one has not waited in vain."""
    later = chain([0.0, 0.0], repeat(50.0))  # as it begins, and when it sees the empty file
    arrivals = Uftp(SESSION, replace(STATION, stall_s=10), NAME, len(kept.data), kept, later.__next__)
    async with sender(kept):
        await taken(arrivals)
    assert kept.file.read_bytes() == kept.data


async def test_the_sender_is_stopped(kept: Kept) -> None:
    async with sender(kept, kbits=10_000) as process:
        with pytest.raises(MulticastFailed, match="uftpd"):
            await _interrupted(receiver(kept), process)


async def test_the_sender_dies(kept: Kept) -> None:
    async with sender(kept, kbits=10_000) as process:
        with pytest.raises(CrowdError):
            await _interrupted(receiver(kept, stall_s=0.5), process, kill=True)


async def _interrupted(arrivals: Uftp, process: asyncio.subprocess.Process, *, kill: bool = False) -> None:
    async with aclosing(arrivals.stretches()) as stretches:
        await anext(stretches)
        process.kill() if kill else process.terminate()
        async for _ in stretches:
            pass
