"""Captures that are cancelled in each phase: what is begun is taken back, what is committed to is done."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from ogagent.model.job import Job, Phase, State
from tests.faults.bench import CANCELLED, WELL
from tests.faults.capturing import Capture, Ended, Studio, Studios
from tests.faults.gate import Spell
from tests.faults.models import Reads

FAMILY: Final = "capture: cancel"
PART: Final = ".x.img.part"
EITHER: Final = (CANCELLED, WELL)
MOST_REQUESTS: Final = 30
"""With which what was begun is taken away again."""
NEVER: Final = -1
_WAIT_S: Final = 300


class Cancel:
    """Of the one job there is, once it is asked for."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._asked: asyncio.Task[Job] | None = None
        self._loop = asyncio.get_running_loop()
        self.phase: Phase | None = None

    def ask(self) -> None:
        self.phase = self._studio.order.progress.phase
        (job,) = self._studio.agent.jobs.jobs()
        self._asked = asyncio.ensure_future(self._studio.agent.jobs.cancel(job.job_id))

    def ask_from_thread(self) -> None:
        """Returns when it was asked for."""
        asyncio.run_coroutine_threadsafe(self._ask(), self._loop).result(_WAIT_S)

    async def _ask(self) -> None:
        self.ask()
        await asyncio.sleep(0)

    async def check(self, ended: Ended) -> None:
        """What is answered is what is true; what commits is not stopped."""
        assert self._asked is not None
        async with asyncio.timeout(_WAIT_S):
            answered = await self._asked
        assert answered.state is ended.job.state
        assert ended.job.state is (State.SUCCEEDED if self.phase is Phase.COMMITTING else State.CANCELLED)


async def cancelled_at_request(studios: Studios, at: int, name: str) -> list[tuple[str, str]]:
    with studios.studio(FAMILY, f"at {name}", Capture(ends=EITHER)) as studio:
        cancel = Cancel(studio)

        async def before(number: int) -> None:
            if number == at:
                cancel.ask()

        studio.gate.before = before
        ended = await studio.run()
        if at != NEVER:
            await cancel.check(ended)
        if ended.number == CANCELLED:
            assert len(studio.gate.seen) <= at + MOST_REQUESTS
        await studios.ended(studio, ended)
        return studio.gate.seen


async def test_at_each_request(studios: Studios) -> None:
    requests = await cancelled_at_request(studios, NEVER, "nothing")
    await studios.at_once(
        {
            f"{at}": partial(cancelled_at_request, studios, at, f"request {at}: {method} {name}")
            for at, (method, name) in enumerate(requests[:-1])
        }
    )


async def cancelled_at_read(studios: Studios, at: int, most: int = 0) -> int:
    """``most`` reads; which of those packed ahead are made is a matter of threads."""
    with studios.studio(FAMILY, f"at read {at}", Capture(ends=EITHER, web=False)) as studio:
        cancel = Cancel(studio)

        def reading(number: int) -> None:
            if number == at:
                cancel.ask_from_thread()

        studio.machine = reads = Reads(studio.machine, reading)
        ended = await studio.run()
        if at != NEVER:
            await cancel.check(ended)
            assert reads.count <= most
        await studios.ended(studio, ended)
        return reads.count


async def test_at_each_read(studios: Studios) -> None:
    """It is not looked at a second time, unless that had begun."""
    count = await cancelled_at_read(studios, NEVER)
    cells = {f"{at}": partial(cancelled_at_read, studios, at, max(at + 1, count - 1)) for at in range(count)}
    await studios.at_once(cells)


async def stalled(studios: Studios, what: str, at: str) -> None:
    """Cancelled when the repository has taken, or given, no more for a while."""
    method = "PUT" if what == "upload-stall" else "GET"
    capture = Capture(
        faults=(f"repository:{what}@{at}",),
        spell=Spell(method=method, name=PART, after=1),
        ends=(CANCELLED,),
        large=True,
    )
    with studios.studio(FAMILY, f"{what} at {at}", capture) as studio:
        cancel = Cancel(studio)

        async def meanwhile() -> None:
            async with asyncio.timeout(_WAIT_S):
                while studio.gate.seen.count((method, PART)) < 2:  # noqa: ASYNC110 - a counter
                    await asyncio.sleep(0.01)
                wanted = studio.gate.asked + 5
                while studio.gate.asked < wanted:  # noqa: ASYNC110 - a counter
                    await asyncio.sleep(0.01)
            cancel.ask()

        ended = await studio.run(meanwhile)
        await cancel.check(ended)
        await studios.ended(studio, ended)


async def test_while_nothing_comes(studios: Studios) -> None:
    await studios.at_once(
        {
            f"{what} {at}": partial(stalled, studios, what, at)
            for what in ("upload-stall", "stall")
            for at in ("0", "64KiB", "1MiB")
        }
    )


async def unanswered(studios: Studios, at: int) -> None:
    """The repository says nothing at all any more; the cancel does not wait for it, and the lock may stay."""
    capture = Capture(ends=(CANCELLED,), away=True, cancelled_s=1.5)
    with studios.studio(FAMILY, f"request {at} is not answered", capture) as studio:
        cancel, over = Cancel(studio), asyncio.Event()

        async def before(number: int) -> None:
            if number == at:
                cancel.ask()
            if number >= at:
                await over.wait()

        async def ends() -> None:
            async with asyncio.timeout(_WAIT_S):
                while not (jobs := studio.agent.jobs.jobs()) or not jobs[0].final:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            over.set()

        studio.gate.before = before
        ended = await studio.run(ends)
        await studio.gate.quiet()
        await cancel.check(ended)
        await studios.ended(studio, ended)


async def test_while_the_repository_does_not_answer(studios: Studios) -> None:
    """Up to the read back: what is committed to waits as long as any other call."""
    requests = (await cancelled_at_request(studios, NEVER, "nothing")).index(("PUT", f"{PART}.index"))
    await studios.at_once({f"{at}": partial(unanswered, studios, at) for at in range(0, requests, 2)})
