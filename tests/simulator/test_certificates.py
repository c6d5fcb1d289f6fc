from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from simulator.certificates import Authority


def shake_hands(authority: Authority, client: ssl.SSLContext, *, called: str) -> bytes:
    """Client and server on two ends of a socket; the certificate that the client was shown."""
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            authority.server_context("127.0.2.1").wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with near, client.wrap_socket(near, server_hostname=called) as secured:
            return secured.getpeercert(binary_form=True) or b""
    finally:
        thread.join()


def test_a_server_is_known_by_its_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shown = shake_hands(authority, authority.client_context(), called="127.0.2.1")
    assert ssl.DER_cert_to_PEM_cert(shown).split() == (tmp_path / "127.0.2.1.pem").read_text().split()


def test_another_address_is_not_accepted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority, authority.client_context(), called="127.0.2.2")


def test_another_authority_is_not_accepted(tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(Authority(tmp_path / "one"), other.client_context(), called="127.0.2.1")


def test_an_authority_is_kept(tmp_path: Path) -> None:
    first = Authority(tmp_path).certificate.read_bytes()
    assert Authority(tmp_path).certificate.read_bytes() == first


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    Authority(tmp_path).server_context("127.0.2.1")
    keys = list(tmp_path.glob("*.key"))
    assert len(keys) == 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
