"""What WebDAV (RFC 4918) adds to HTTP, as far as the repository knows it."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from aiohttp import web

from simulator.repository.names import PREFIX

_PORTS: Final = {"http": 80, "https": 443}
_MULTISTATUS: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<D:multistatus xmlns:D="DAV:"><D:response><D:href>{href}</D:href><D:propstat><D:prop>'
    "<D:resourcetype>{kind}</D:resourcetype>"
    "<D:quota-available-bytes>{available}</D:quota-available-bytes>"
    "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n"
)
_ONLY_DEPTH_0: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n<D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>\n'
)
_XML: Final = "application/xml"


def destination(request: web.Request) -> str:
    """The name that a file is to get (section 10.3).

    Raises HTTPBadRequest for what is no absolute URL or path, HTTPBadGateway for another server (section 9.8.5),
    HTTPForbidden for what is not below the images.
    """
    try:
        wanted = urlsplit(request.headers.get("Destination", ""))
        own = urlsplit(f"{request.scheme}://{request.host}")
        elsewhere = bool(wanted.netloc) and _server(wanted) != _server(own)
        path = unquote(wanted.path, errors="strict")
    except ValueError:
        raise _unclear() from None
    if wanted.scheme not in ("", *_PORTS) or bool(wanted.scheme) != bool(wanted.netloc):
        raise _unclear()
    if not path.startswith("/") or wanted.query or wanted.fragment:
        raise _unclear()
    if elsewhere:
        raise web.HTTPBadGateway(text="the destination is on another server\n")
    if not path.startswith(f"{PREFIX}/"):
        raise web.HTTPForbidden(text="the destination is not among the images\n")
    return path.removeprefix(f"{PREFIX}/")


def overwrites(request: web.Request) -> bool:
    """Section 10.6. Raises HTTPBadRequest."""
    word = request.headers.get("Overwrite", "T").strip()
    if word not in ("T", "F"):
        raise web.HTTPBadRequest(text="Overwrite is T or F\n")
    return word == "T"


def demand_depth_0(request: web.Request) -> None:
    """Raises HTTPForbidden (section 9.1: no Depth is infinity)."""
    if request.headers.get("Depth", "infinity").strip() != "0":
        raise web.HTTPForbidden(text=_ONLY_DEPTH_0, content_type=_XML)


def multistatus(path: str, *, collection: bool, available: int) -> web.Response:
    """``available`` in bytes: ``quota-available-bytes`` of RFC 4331, section 3."""
    kind = "<D:collection/>" if collection else ""
    text = _MULTISTATUS.format(href=quote(path), kind=kind, available=available)
    return web.Response(status=207, text=text, content_type=_XML)


def _server(url: SplitResult) -> tuple[str | None, int | None]:
    return url.hostname, url.port or _PORTS.get(url.scheme)


def _unclear() -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text="Destination is no absolute URL and no absolute path\n")
