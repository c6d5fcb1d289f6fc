"""ogCore is away, for hours of the test's clock, and the reports are in a journal on the disk."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.plan import Target
from ogagent.ogcore.outbox import Backlog, Outbox
from ogagent.ogcore.retry import LAST_DELAY_S
from ogagent.ogcore.webhook import Webhook
from tests.ogcore.hearing import JOB, OTHER, SECRET, StoppedClock, end, here, registered, report


class RudeOgCore:
    """Says ``answer`` to each call, whatever it is, and hangs up; says nothing when that is None."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        self.bodies: list[dict[str, Any]] = []
        self._server: asyncio.Server

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        self.bodies.append(json.loads(await reader.readexactly(length)))
        if self.answer is None:
            await reader.read()  # until the agent hangs up
        else:
            writer.write(self.answer)
        writer.close()


AWAY = {
    "refusing for now": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "hanging up": b"",
    "speaking garbage": b"\x00\xff garbage\r\n\r\n",
    "hanging up within the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "hanging up within the body": b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nhalf",
    "silent": None,
}
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.mark.parametrize("way", AWAY)
async def test_reports_outlast_hours_without_ogcore_and_the_death_of_the_agent(
    tmp_path: Path, clock: StoppedClock, way: str
) -> None:
    hours = 0.2 if way == "silent" else 8  # each try of a silent one takes a little of the real time
    ogcore = RudeOgCore()
    ogcore.answer = AWAY[way]
    journal = Journal.open(tmp_path)
    timeout = ClientTimeout(total=0.2 if way == "silent" else 10)
    async with ogcore as url, ClientSession(timeout=timeout) as session, ClientSession() as patient:
        hook = Webhook(session, url, SECRET)
        outbox = Outbox(hook, here, FinalsInJournal(journal), registered(), clock)
        for job_id in (JOB, OTHER):
            accept(journal, job_id)
            outbox.progress(job_id, report(41, job_id))
        await clock.next_attempt()
        final = outbox.conclude(JOB, {**report(41), "event_id": "the end"})
        assert final is not None
        journal.end(job(JOB, State.CANCELLED), final)
        outbox.final(JOB, final)
        while clock.time < hours * 3600:
            assert await clock.next_attempt() <= LAST_DELAY_S
        assert outbox.backlog().depth == 1
        assert outbox.backlog().delivered == outbox.backlog().refused == 0
        await outbox.aclose(0)
        journal.close()

        journal = Journal.open(tmp_path)
        ogcore.answer = TAKEN
        tries = len(ogcore.bodies)
        outbox = Outbox(Webhook(patient, url, SECRET), here, FinalsInJournal(journal), registered(), clock)
        await clock.rest()
        ends = [body for body in ogcore.bodies if body["event_id"] == "the end"]
        assert len(ogcore.bodies) == tries + 1
        assert len(ends) > hours * 3600 / LAST_DELAY_S / 2
        assert all(body == ends[0] for body in ends)
        assert journal.undelivered() == []
        await outbox.aclose(0)
    journal.close()


async def test_success_counts_whatever_the_body_says(tmp_path: Path, clock: StoppedClock) -> None:
    """2xx: delivered. A body that breaks off, or is no JSON, does not make it undone."""
    ogcore = RudeOgCore()
    ogcore.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<html>"
    journal = Journal.open(tmp_path)
    async with ogcore as url, ClientSession() as session:
        outbox = Outbox(Webhook(session, url, SECRET), here, FinalsInJournal(journal), registered(), clock)
        end(outbox, report(100))
        await clock.advance(3600)
        assert (len(ogcore.bodies), outbox.backlog()) == (1, Backlog(delivered=1))
        await outbox.aclose(0)
    journal.close()


def job(job_id: str, state: State = State.RUNNING) -> Job:
    return Job(
        job_id=job_id, function="RestaurarImagen", state=state, phase=None, progress=0, bytes=ByteCounts(), rate=0,
        eta_s=None, retries=0, request={}, target=JobTarget(disk=1, partition=1, device="/dev/sda1", identity="i"),
        created="2026-11-24T10:00:00.000Z", finished=None if state is State.RUNNING else "2026-11-24T10:00:01.000Z",
    )  # fmt: skip


def accept(journal: Journal, job_id: str) -> None:
    target = Target(
        disk=1, partition=1, device="/dev/sda1", disk_device="/dev/sda", identity="i", start=0, size=1, sector_size=512
    )
    journal.accept(job(job_id), target)
