"""Real TLS over loopback, with certificates that are checked by somebody else's eyes too (openssl's strict rules)."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ogagent.errors import SettingsError
from ogagent.system.tls import (
    ServerIdentity,
    certificate_hint,
    client_context,
    given_identity,
    own_identity,
    server_context,
)


async def peer_certificate(identity: ServerIdentity, client: ssl.SSLContext, host: str = "127.0.0.1") -> bytes:
    """What a client that connects to ``identity`` sees, DER; raises ssl.SSLError when it does not like it."""

    async def goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(goodbye, "127.0.0.1", 0, ssl=server_context(identity))
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host)
        der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        return der


def pem_of(state_dir: Path) -> Path:
    (file,) = state_dir.iterdir()
    return file


async def test_a_fresh_certificate_is_accepted_by_a_strict_client(tmp_path: Path) -> None:
    identity = own_identity(tmp_path / "state", ["127.0.0.1", "0.0.0.0", "::"])
    client = client_context(str(pem_of(tmp_path / "state")), "ogcore.ca")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for host in ("127.0.0.1", socket.gethostname()):
        der = await peer_certificate(identity, client, host)
        assert hashlib.sha256(der).hexdigest() == identity.fingerprint


async def test_a_client_without_the_ca_refuses(tmp_path: Path) -> None:
    identity = own_identity(tmp_path, ["127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        await peer_certificate(identity, client_context("", "ogcore.ca"))


async def test_a_client_refuses_another_host(tmp_path: Path) -> None:
    identity = own_identity(tmp_path, ["127.0.0.2"])
    with pytest.raises(ssl.SSLCertVerificationError):
        await peer_certificate(identity, client_context(str(pem_of(tmp_path)), "ogcore.ca"))


def test_nothing_below_tls_1_2_is_spoken(tmp_path: Path) -> None:
    identity = own_identity(tmp_path, ["127.0.0.1"])
    assert server_context(identity).minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_context("", "ogcore.ca").minimum_version is ssl.TLSVersion.TLSv1_2


def test_nobody_else_may_read_the_key(tmp_path: Path) -> None:
    own_identity(tmp_path / "a" / "state", [])
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700
    assert pem_of(tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o600


def test_the_certificate_stays_over_restarts(tmp_path: Path) -> None:
    first = own_identity(tmp_path, ["127.0.0.8", "127.0.0.9"]).fingerprint
    assert own_identity(tmp_path, ["127.0.0.9", "0.0.0.0"]).fingerprint == first


def test_an_address_that_it_does_not_name_is_a_reason_for_a_new_one(tmp_path: Path) -> None:
    first = own_identity(tmp_path, ["127.0.0.8"]).fingerprint
    assert own_identity(tmp_path, ["127.0.0.8", "127.0.0.9"]).fingerprint != first


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "other key", "exposed", "left over"])
def test_a_certificate_that_cannot_be_used_is_made_anew(tmp_path: Path, damage: str) -> None:
    before = own_identity(tmp_path, []).fingerprint
    file = pem_of(tmp_path)
    pem = file.read_bytes()
    other = ec.generate_private_key(ec.SECP256R1())
    if damage == "empty":
        file.write_bytes(b"")
    elif damage == "garbage":
        file.write_bytes(b"\xff" * 1000)
    elif damage == "cut":
        file.write_bytes(pem[: len(pem) // 2])
    elif damage == "other key":
        file.write_bytes(private_pem(other) + pem[pem.index(b"-----BEGIN CERT") :])
    elif damage == "exposed":
        file.chmod(0o640)
    else:
        file.rename(tmp_path / f".{file.name}.new").chmod(0o644)
    assert own_identity(tmp_path, []).fingerprint != before
    assert pem_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_its_own_clock_does_not_make_it_invalid(tmp_path: Path) -> None:
    """A battery is empty, then NTP puts the clock right: the key that ogCore has pinned is the same."""
    own_identity(tmp_path, [])
    certificate = x509.load_pem_x509_certificate(pem_of(tmp_path).read_bytes())
    assert certificate.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert certificate.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "kept"), [(-400, -1, False), (-1, 10, False), (1, 400, False), (-1, 400, True)]
)
def test_a_certificate_is_remade_around_its_end(tmp_path: Path, start: int, end: int, *, kept: bool) -> None:
    own_identity(tmp_path, [])
    file = pem_of(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = made_certificate(key, start, end)
    file.write_bytes(private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    assert (own_identity(tmp_path, []).fingerprint == fingerprint) is kept


def test_given_files_are_used(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = made_certificate(key, -1, 1)
    (tmp_path / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(private_pem(key))
    identity = given_identity(tmp_path / "c.pem", tmp_path / "k.pem")
    assert identity.fingerprint == certificate.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize("mistake", ["absent", "garbage", "passphrase", "other key"])
def test_given_files_that_cannot_be_used_are_named(tmp_path: Path, mistake: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, key_file = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_bytes(made_certificate(key, -1, 1).public_bytes(serialization.Encoding.PEM))
    if mistake == "garbage":
        key_file.write_bytes(b"no key")
    elif mistake == "passphrase":
        key_file.write_bytes(private_pem(key, serialization.BestAvailableEncryption(b"word")))
    elif mistake == "other key":
        key_file.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(SettingsError) as caught:
        given_identity(certificate, key_file)
    assert f"server.key {key_file}" in caught.value.message
    assert caught.value.hint


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"state\.dir"):
        own_identity(tmp_path / "file", [])


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^repository\.ca: .*ca\.pem"):
        client_context(str(bundle), "repository.ca")


CLOCK = datetime(2000, 1, 1, 0, 3, tzinfo=UTC)


def verification_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize(("code", "said"), [(9, "before that certificate begins"), (10, "after that certificate has")])
def test_the_clock_is_named_wherever_the_reason_lies(code: int, said: str) -> None:
    inner = verification_error(code)
    connector = aiohttp.ClientConnectorCertificateError(
        ConnectionKey("ogcore", 443, True, True, None, None, None), inner
    )
    chained = RuntimeError("x")
    chained.__cause__ = connector
    for error in (inner, connector, chained):
        hint = certificate_hint(error, CLOCK)
        assert "2000-01-01 00:03 UTC by the clock of this machine" in hint
        assert said in hint


def test_what_has_nothing_to_do_with_the_clock() -> None:
    itself = OSError("x")
    itself.__cause__ = itself
    for error in (None, OSError("refused"), verification_error(18), ssl.SSLError("bad"), itself):
        assert certificate_hint(error) == ""


def private_pem(
    key: ec.EllipticCurvePrivateKey,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    encryption = encryption or serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def made_certificate(key: ec.EllipticCurvePrivateKey, start: int, end: int) -> x509.Certificate:
    """Valid from ``start`` to ``end``, in days from now."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=start))
        .not_valid_after(now + timedelta(days=end))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(socket.gethostname())]), critical=False)
        .sign(key, hashes.SHA256())
    )
