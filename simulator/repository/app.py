"""ogRepository: a catalogue, and images with their sidecars, over HTTP, and with a token to be written as well."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from simulator.faults import Faults, no_faults
from simulator.repository.access import Access
from simulator.repository.catalogue import Catalogue
from simulator.repository.crowd.offer import Crowd, offer
from simulator.repository.exchange import ACCESS, CATALOGUE, FAULTS, RATE, STORE, UNLIMITED
from simulator.repository.guard import expected, guard
from simulator.repository.names import PREFIX
from simulator.repository.reading import send_catalogue, send_file
from simulator.repository.store import Store
from simulator.repository.uploading import put
from simulator.repository.writing import copy, delete, move, propfind, put_back

__all__ = ["PREFIX", "repository_app"]

_FILE: Final = PREFIX + "/{name:.+}"


def repository_app(
    directory: Path,
    *,
    rate: int = UNLIMITED,
    faults: Faults = no_faults,
    token: str = "",
    quota: int | None = None,
    crowd: Crowd | None = None,
) -> web.Application:
    """``rate`` is how many bytes a second each connection gets or sends, 0 for as many as it takes.

    ``faults`` is asked again and again, also while an image is being sent or received. Whoever shows ``token`` may
    write, nobody when it is empty. ``quota`` is how many bytes all files may have together. ``crowd``: images go to
    many at once, too, for whoever shows ``token``; when it is empty, for everybody.
    """
    app = web.Application(middlewares=[guard])
    app[RATE] = rate
    app[FAULTS] = faults
    app[CATALOGUE] = Catalogue(directory)
    app[STORE] = Store(directory, quota)
    app[ACCESS] = Access(token)
    app.router.add_get(PREFIX, send_catalogue)
    app.router.add_get(_FILE, send_file)
    app.router.add_post(PREFIX + "/{name:.+}/put-back", put_back)
    app.router.add_route("PUT", _FILE, put, expect_handler=expected)
    app.router.add_route("DELETE", _FILE, delete)
    app.router.add_route("MOVE", _FILE, move)
    app.router.add_route("COPY", _FILE, copy)
    app.router.add_route("PROPFIND", PREFIX, propfind)
    app.router.add_route("PROPFIND", PREFIX + "/{name:.*}", propfind)
    if crowd:
        offer(app, crowd)
    return app
