"""The agent's face: which call goes where, and what stands in front of all of them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ogagent.http import handlers
from ogagent.http.access import Access, guard
from ogagent.http.body import MAX_BODY
from ogagent.http.events import EVENTS, JobEvents, follow_job
from ogagent.http.handlers import JOBS, Jobs
from ogagent.http.metrics import METRICS, count_refusals, show_metrics
from ogagent.http.problems import problems
from ogagent.system.metrics import Metrics

# One line a call.
ROUTES: Final = (
    web.post("/CloningEngine/RestaurarImagen", handlers.restore_image),
    web.post("/CloningEngine/KillJob", handlers.kill_job),
    web.get("/jobs", handlers.show_jobs),
    web.get("/jobs/{job_id}", handlers.show_job),
    web.delete("/jobs/{job_id}", handlers.delete_job),
    web.get("/jobs/{job_id}/events", follow_job, allow_head=False),
    web.get("/disks", handlers.show_disks),
    web.get("/metrics", show_metrics),
    # Without a credential, see access.OPEN_PATHS:
    web.get("/opengnsys/status", handlers.show_status),
    web.get("/healthz", handlers.show_health),
)


def make_app(jobs: Jobs, access: Access, metrics: Metrics) -> web.Application:
    app = web.Application(middlewares=[count_refusals, problems, guard(access)], client_max_size=MAX_BODY)
    app[JOBS] = jobs
    app[METRICS] = metrics
    app[EVENTS] = JobEvents()
    app.add_routes(ROUTES)
    return app
