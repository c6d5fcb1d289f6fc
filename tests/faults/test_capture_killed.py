"""Agents that are killed while they capture, at every change to the repository, and what those after them do."""

from __future__ import annotations

import asyncio
import json
import signal
from functools import partial
from typing import Final

from aiohttp import web

from tests.faults.capturing import Capture, Studios
from tests.faults.dying import afterwards, born, dead
from tests.faults.gate import WRITING, Spell

FAMILY: Final = "capture: kill"
DIRECTORY: Final = Capture(web=False)
WEB: Final = Capture()
NEVER: Final = -1
PART: Final = ".x.img.part"
"""Sent twice: as what becomes the lock, and as the image."""
AT_ONCE: Final = 3


# --- a directory ------------------------------------------------------------------------------------------------------


async def killed_at_call(studios: Studios, at: int, name: str) -> list[str]:
    """The calls of an agent that lives."""
    with studios.studio(FAMILY, f"before {name}", DIRECTORY) as studio:
        async with studio.repository() as settings:
            process = born(studio, studios, studio.url, at=at)
            assert await dead(process) == (0 if at == NEVER else -signal.SIGKILL)
            await afterwards(studios, studio, settings)
        calls = studio.folder / "calls"
        return [] if at != NEVER else json.loads(calls.read_text())


async def test_at_each_call_that_changes_the_directory(studios: Studios) -> None:
    calls = await killed_at_call(studios, NEVER, "nothing")
    assert {"open", "write", "fsync", "replace", "link", "unlink"} <= set(calls)
    await studios.at_once(
        {f"{at}": partial(killed_at_call, studios, at, f"call {at}: {name}") for at, name in enumerate(calls)}, AT_ONCE
    )


async def killed_in_the_middle(studios: Studios, size: int) -> None:
    with studios.studio(FAMILY, f"when {size} bytes are written", DIRECTORY) as studio:
        async with studio.repository() as settings:
            assert await dead(born(studio, studios, studio.url, largest=size)) == -signal.SIGXFSZ
            await afterwards(studios, studio, settings)


async def test_in_the_middle_of_the_image(studios: Studios) -> None:
    sizes = (1 << 20, (1 << 20) + 4097, 1_500_000)
    await studios.at_once({f"{size}": partial(killed_in_the_middle, studios, size) for size in sizes}, AT_ONCE)


# --- a web server -----------------------------------------------------------------------------------------------------


async def killed_at_request(studios: Studios, at: int, name: str, *, done: bool = False) -> list[tuple[str, str]]:
    """Before the server does it, or when it is ``done`` and the agent has not heard of it."""
    with studios.studio(FAMILY, f"{'after' if done else 'before'} {name}", WEB) as studio:
        async with studio.repository() as settings:
            is_dead = asyncio.Event()

            async def kill(number: int) -> None:
                if number == at:
                    process.kill()
                    await is_dead.wait()
                    raise web.HTTPGone

            if done:
                studio.gate.after = kill
            else:
                studio.gate.before = kill
            process = born(studio, studios, studio.url)
            status = await dead(process)
            is_dead.set()
            assert status == (0 if at == NEVER else -signal.SIGKILL)
            seen = list(studio.gate.seen)
            await afterwards(studios, studio, settings)
        return seen


async def test_at_each_request(studios: Studios) -> None:
    """Of those that only look, at every third; of those that change something, before and afterwards."""
    requests = list(enumerate(await killed_at_request(studios, NEVER, "nothing")))
    cells = {
        f"{at} {done}": partial(killed_at_request, studios, at, f"request {at}: {method} {name}", done=done)
        for at, (method, name) in requests
        for done in (False, True)
        if method in WRITING or (at % 3 == 0 and not done)
    }
    await studios.at_once(cells, AT_ONCE)


async def killed_while_it_uploads(studios: Studios, share: str) -> None:
    capture = Capture(faults=(f"repository:upload-stall@{share}",), spell=Spell(method="PUT", name=PART, after=1))
    with studios.studio(FAMILY, f"when {share} of the upload were there", capture) as studio:
        async with studio.repository() as settings:
            process = born(studio, studios, studio.url)
            async with asyncio.timeout(300):
                while studio.gate.seen.count(("PUT", PART)) < 2:  # noqa: ASYNC110 - a counter
                    await asyncio.sleep(0.01)
                wanted = studio.gate.asked + 5
                while studio.gate.asked < wanted:  # noqa: ASYNC110 - a counter
                    await asyncio.sleep(0.01)
            process.kill()
            assert await dead(process) == -signal.SIGKILL
            await afterwards(studios, studio, settings)


async def test_in_the_middle_of_the_upload(studios: Studios) -> None:
    shares = ("0", "64KiB", "1MiB")
    await studios.at_once({share: partial(killed_while_it_uploads, studios, share) for share in shares}, AT_ONCE)
