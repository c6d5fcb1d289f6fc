"""nginx and Apache, each as a repository has it, on a loopback port of its own, with TLS and a token."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from simulator.certificates import Authority
from simulator.processes import peer

TOKEN: Final = "0123456789.abc~DEF+/_-="
_START_S: Final = 120
_MODULES: Final = Path("/usr/lib/apache2/modules")
_NOBODY: Final = "nobody"

NGINX: Final = """\
server {
    listen 443 ssl;
    ssl_certificate /etc/nginx/repository.pem;
    ssl_certificate_key /etc/nginx/repository.key;
    root /srv;
    client_max_body_size 0;
    client_body_temp_path /srv/uploads;
    location /ogrepository/images/ {
        set $refused $request_method;
        if ($request_method ~ ^(GET|HEAD)$) { set $refused ""; }
        if ($http_authorization = "Bearer TOKEN") { set $refused ""; }
        if ($refused) { return 401; }
        dav_methods PUT DELETE MOVE COPY;
        create_full_put_path on;
        dav_access group:r all:r;
    }
}
"""
"""As README.md has it. What is uploaded lies on the file system of the images, so that it is renamed, not copied."""
_AROUND_NGINX: Final = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{ }}
http {{
    access_log off;
{server}
}}
"""
_APACHE: Final = """\
ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
ErrorLog {folder}/log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
{user}
Listen 127.0.0.1:{port}
SSLEngine on
SSLCertificateFile {ca}/127.0.0.1.pem
SSLCertificateKeyFile {ca}/127.0.0.1.key
DocumentRoot {folder}/srv
DavLockDB {folder}/locks/locks
<Location /ogrepository/images>
    Dav On
    LimitRequestBody 0
    <LimitExcept GET HEAD>
        Require expr %{{HTTP:Authorization}} == 'Bearer {token}'
    </LimitExcept>
</Location>
"""


class Repository(Struct, frozen=True):
    """``root`` is all that it may write to, ``images`` where the images lie."""

    name: str
    url: str
    ca: Path
    root: Path
    images: Path

    @property
    def left(self) -> set[str]:
        """What lies there that is no directory, seen from the images."""
        return set(self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """In bytes, of what is ``left``. What goes while it is looked at is not there."""
        found: dict[str, int] = {}
        for path in self.root.rglob("*"):
            with suppress(FileNotFoundError):
                if not path.is_dir():
                    found[os.path.relpath(path, self.images)] = path.lstat().st_size
        return found


@contextmanager
def nginx() -> Iterator[Repository]:
    with _place() as (folder, port):
        server = NGINX
        for usual, here in (
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("/etc/nginx/repository", f"{folder}/ca/127.0.0.1"),
            ("/srv", f"{folder}/srv"),
            ("TOKEN", TOKEN),
        ):
            assert usual in server
            server = server.replace(usual, here)
        configuration = folder / "nginx.conf"
        configuration.write_text(_AROUND_NGINX.format(folder=folder, server=server), encoding="ascii")
        command: list[str | Path] = [_program("nginx"), "-e", folder / "log", "-c", configuration]
        with peer("nginx", command, folder / "output"):
            yield _reached("nginx", folder, port)


@contextmanager
def apache() -> Iterator[Repository]:
    with _place() as (folder, port):
        user = f"User {_NOBODY}\nGroup #{pwd.getpwnam(_NOBODY).pw_gid}" if os.geteuid() == 0 else ""
        configuration = folder / "apache.conf"
        configuration.write_text(
            _APACHE.format(folder=folder, port=port, ca=folder / "ca", modules=_MODULES, user=user, token=TOKEN),
            encoding="ascii",
        )
        command: list[str | Path] = [_program("apache2"), "-f", configuration, "-DFOREGROUND"]
        with peer("apache2", command, folder / "output"):
            yield _reached("apache", folder, port)


@contextmanager
def _place() -> Iterator[tuple[Path, int]]:
    """Which a server may enter that is not root any more; and a port that nobody has."""
    with tempfile.TemporaryDirectory(prefix="ogagent-") as directory, socket.socket() as taken:
        folder = Path(directory)
        folder.chmod(0o755)
        for name in ("srv/ogrepository/images", "srv/uploads", "locks"):
            (folder / name).mkdir(parents=True)
        if os.geteuid() == 0:
            for path in (folder / "locks", folder / "srv", *(folder / "srv").rglob("*")):
                shutil.chown(path, _NOBODY)
        Authority(folder / "ca").server_context("127.0.0.1")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.close()
        yield folder, port


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _reached(name: str, folder: Path, port: int) -> Repository:
    until = time.monotonic() + _START_S
    while True:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            break
        assert time.monotonic() < until, (folder / "output").read_text() + (folder / "log").read_text()
        time.sleep(0.02)
    return Repository(
        name=name,
        url=f"https://127.0.0.1:{port}/ogrepository/images",
        ca=folder / "ca" / "ca.pem",
        root=folder / "srv",
        images=folder / "srv" / "ogrepository" / "images",
    )
