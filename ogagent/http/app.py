"""The agent's face: which call goes where, and what stands in front of all of them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ogagent.http import handlers
from ogagent.http.access import Access, CertificateAccess, guard
from ogagent.http.body import MAX_BODY
from ogagent.http.handlers import JOBS, PREVIEWS, Jobs, Previews
from ogagent.http.listener import one_call_each, room
from ogagent.http.problems import problems

# One line a call.
ROUTES: Final = (
    web.post("/CloningEngine/RestaurarImagen", handlers.restore_image),
    web.post("/CloningEngine/KillJob", handlers.kill_job),
    web.post("/plan", handlers.show_plan),
    web.get("/jobs", handlers.show_jobs),
    web.get("/jobs/{job_id}", handlers.show_job),
    web.delete("/jobs/{job_id}", handlers.delete_job),
    web.get("/disks", handlers.show_disks),
    # Without a credential, see access.OPEN_PATHS:
    web.get("/opengnsys/status", handlers.show_status),
    web.get("/healthz", handlers.show_health),
)


def make_app(jobs: Jobs, previews: Previews, access: Access) -> web.Application:
    # In a certificate's name speaks only a connection whose handshake has shown it to the CA of today.
    first = [one_call_each] if isinstance(access, CertificateAccess) else []
    app = web.Application(middlewares=[*first, problems, room, guard(access)], client_max_size=MAX_BODY)
    app[JOBS] = jobs
    app[PREVIEWS] = previews
    app.add_routes(ROUTES)
    return app
