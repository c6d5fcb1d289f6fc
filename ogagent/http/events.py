"""A job as Server-Sent Events: one ``data:`` line at each change, the final one last."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from ogagent.errors import TooManyRequests
from ogagent.http.handlers import JOBS, Jobs
from ogagent.model.job import Job

READERS: Final = 32
"""Half of the connections that the agent serves: who watches keeps nobody from calling."""
PING_S: Final = 15.0
"""A reader that has vanished is found out when it is written to."""
PATIENCE_S: Final = 30.0
"""So long may a write wait for a reader that does not read."""

_PING: Final = b": still running\n\n"
_HEADERS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}


class JobEvents:
    def __init__(self, ping_s: float = PING_S, patience_s: float = PATIENCE_S) -> None:
        self.readers = 0
        self._ping_s = ping_s
        self._patience_s = patience_s

    async def follow(self, request: web.Request) -> web.StreamResponse:
        jobs, job_id = request.app[JOBS], request.match_info["job_id"]
        jobs.job(job_id)  # raises JobNotFound while that can still be answered with 404
        if self.readers >= READERS:
            raise TooManyRequests(f"{READERS} readers follow jobs already", hint=f"ask for /jobs/{job_id} instead")
        self.readers += 1
        try:
            return await self._tell(request, jobs, job_id)
        finally:
            self.readers -= 1

    async def _tell(self, request: web.Request, jobs: Jobs, job_id: str) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        try:
            await response.prepare(request)
            seen: Job | None = None
            while seen is None or not seen.final:
                line, seen = await self._next(jobs, job_id, seen)
                async with asyncio.timeout(self._patience_s):
                    await response.write(line)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()  # what this reader has not taken is not kept for it
        return response

    async def _next(self, jobs: Jobs, job_id: str, seen: Job | None) -> tuple[bytes, Job | None]:
        """While a reader is slow, a job moves on: only what it is then is told."""
        try:
            async with asyncio.timeout(self._ping_s):
                job = await jobs.changed(job_id, seen)
        except TimeoutError:
            return _PING, seen
        return b"data: " + msgspec.json.encode(job) + b"\n\n", job


EVENTS: Final[web.AppKey[JobEvents]] = web.AppKey("events")


async def follow_job(request: web.Request) -> web.StreamResponse:
    return await request.app[EVENTS].follow(request)
