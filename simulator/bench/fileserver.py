"""``python -m simulator.bench.fileserver FILE ADDRESS PORT``: one file at ``/``, by sendfile(2), which costs as little
as a server can. There is nothing beside it.
"""

from __future__ import annotations

import http.server
import os
import sys
from pathlib import Path


class _Handler(http.server.BaseHTTPRequestHandler):
    file: Path

    def do_GET(self) -> None:
        if self.path != "/image":
            self.send_error(404)
            return
        with self.file.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""


if __name__ == "__main__":
    _Handler.file = Path(sys.argv[1])
    http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), _Handler).serve_forever()
