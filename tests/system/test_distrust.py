"""What is said of a server that cannot prove who it is, from real handshakes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from ogagent.system.distrust import Distrust, distrust
from ogagent.system.tls import client_context
from tests.system.signed import DAY, Authority

CLOCK: Final = datetime(2000, 1, 1, 0, 7, tzinfo=UTC)

Server = Callable[[socket.socket], object]


def speaking(tls: ssl.SSLContext) -> Server:
    return lambda connection: tls.wrap_socket(connection, server_side=True).recv(1)


def saying(data: bytes) -> Server:
    def server(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1 << 16)

    return server


def failure(server: Server, ca: Path | str, host: str = "127.0.0.1") -> OSError:
    """Of a handshake with this server."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            server(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(listener.getsockname()) as connection, pytest.raises(OSError) as caught:  # noqa: PT011
            client_context(str(ca), "").wrap_socket(connection, server_hostname=host)
        thread.join()
    return caught.value


def explained(error: BaseException) -> Distrust:
    found = distrust(error, "ogcore.ca", CLOCK)
    assert found
    return found


def test_not_valid_yet(tmp_path: Path) -> None:
    """The certificate, or already that of the CA: as with a clock that stands at its beginning."""
    ca = Authority(tmp_path)
    young = Authority(tmp_path, "young", begins=DAY)
    for error in (
        failure(speaking(ca.server(begins=DAY, ends=2 * DAY)), ca.pem),
        failure(speaking(young.server()), young.pem),
    ):
        found = explained(error)
        assert "not yet valid" in found.reason
        assert "clock, which says 2000-01-01 00:07 UTC" in found.hint
        assert "ogcore.ca" not in found.hint


def test_expired(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    found = explained(failure(speaking(ca.server(begins=-2 * DAY, ends=-DAY)), ca.pem))
    assert "expired" in found.reason
    assert found.hint.startswith("renew the certificate")
    assert "clock, which says 2000-01-01" in found.hint


@pytest.mark.parametrize(("named", "called"), [("127.0.0.9", "127.0.0.1"), ("other.lan", "repository.lan")])
def test_for_another_name(named: str, called: str, tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    found = explained(failure(speaking(ca.server(named)), ca.pem, called))
    assert f"not valid for '{called}'" in found.reason
    assert "name" in found.hint
    assert "ogcore.ca" not in found.hint


def test_of_an_unknown_authority(tmp_path: Path) -> None:
    ca, other = Authority(tmp_path), Authority(tmp_path, "other")
    for known in (other.pem, ""):  # the latter is what the system knows
        found = explained(failure(speaking(ca.server()), known))
        assert "issuer" in found.reason
        assert found.hint == "set ogcore.ca to the CA of the server"


def test_for_another_purpose(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    found = explained(failure(speaking(ca.server(purpose=ExtendedKeyUsageOID.CLIENT_AUTH)), ca.pem))
    assert "purpose" in found.reason
    assert "for a server" in found.hint


def test_of_one_who_does_not_speak_tls(tmp_path: Path) -> None:
    found = explained(failure(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Authority(tmp_path).pem))
    assert found == Distrust("it does not speak TLS there", "look at the URL: https or http, and the port")


@pytest.mark.parametrize(("alert", "hint"), [(70, "TLS 1.2"), (40, "TLS 1.2"), (116, "without one")])
def test_of_one_who_wants_something_else(alert: int, hint: str, tmp_path: Path) -> None:
    """RFC 8446, 6.2: protocol_version, handshake_failure, certificate_required."""
    assert hint in explained(failure(saying(bytes((21, 3, 3, 0, 2, 2, alert))), Authority(tmp_path).pem)).hint


def test_who_breaks_off_may_be_better_the_next_time(tmp_path: Path) -> None:
    assert distrust(failure(saying(b""), Authority(tmp_path).pem), "ogcore.ca", CLOCK) is None
    for error in (TimeoutError(), OSError(), ssl.SSLEOFError(), ssl.SSLZeroReturnError()):
        assert distrust(error, "ogcore.ca", CLOCK) is None


def test_what_is_not_known_is_said_as_openssl_says_it() -> None:
    assert explained(ssl.SSLError(1, "bad thing")) == Distrust("bad thing", "look into the server's log")
