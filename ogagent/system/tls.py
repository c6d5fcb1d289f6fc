"""TLS: the agent's own certificate, and how it looks at those of others.

Everything here reads files and blocks: it is for start-up, before the event loop has work to do.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from ogagent.errors import SettingsError

_FILE_NAME: Final = "certificate.pem"
# Callers pin the certificate, and a client whose battery is empty starts in whatever year: its clock must not be what
# makes it invalid. The end is that of a certificate without one, RFC 5280 4.1.2.5.
_VALID_FROM: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VALID_UNTIL: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
# Of one that was made with another end: an agent which runs for weeks does not outlive its certificate.
_LEAST_REMAINING: Final = timedelta(days=30)
# X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED: openssl/x509_vfy.h
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10


# TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has nothing else.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerIdentity(Struct, frozen=True):
    """``fingerprint`` is the SHA-256 of the DER certificate, in hexadecimal: what a caller may pin."""

    certificate: Path
    key: Path
    fingerprint: str


def given_identity(certificate: Path, key: Path) -> ServerIdentity:
    """From PEM files of the administrator. Raises SettingsError."""
    try:
        return _identity(certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(
            f"server.certificate {certificate} with server.key {key} cannot be used: {error}",
            hint="both must be PEM files, belong together, and the key must have no passphrase",
        ) from error


def own_identity(state_dir: Path, addresses: Iterable[str]) -> ServerIdentity:
    """The self-signed certificate in ``state_dir``, which names this host and ``addresses``.

    Made anew when absent, unreadable, exposed, about to expire, or without one of the names. Raises SettingsError when
    ``state_dir`` cannot be written.
    """
    file = state_dir / _FILE_NAME
    try:
        names = _names(addresses)
        if not _usable(file, names):
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(file, _self_signed(names))
        return _identity(file, file)
    except OSError as error:
        raise SettingsError(f"state.dir {state_dir} cannot hold the agent's certificate: {error}") from error


def server_context(identity: ServerIdentity, client_ca: str = "") -> ssl.SSLContext:
    """With a ``client_ca``, a caller's certificate that it does not vouch for ends the handshake.

    Expired, self-signed, or not for clients by its extended key usage: OpenSSL refuses them all. A caller without any
    certificate gets through, for the two calls that need no credential; the others are refused by ``http.access``.
    Raises SettingsError.
    """
    context = _context(identity.certificate, identity.key)
    if client_ca:
        try:
            context.load_verify_locations(cafile=client_ca)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"access.client_ca: {client_ca} cannot be used as a CA bundle: {error}", hint="give a PEM file"
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(ca: str, key: str) -> ssl.SSLContext:
    """Verifies servers with the PEM bundle ``ca``, or with the system's store when that is empty.

    Raises SettingsError, which names ``key``, the setting that ``ca`` comes from.
    """
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key}: {ca} cannot be used as a CA bundle: {error}", hint="give a PEM file") from error


def certificate_hint(error: BaseException | None, now: datetime | None = None) -> str:
    """What to do about a peer's certificate that is not valid at this time; empty when that is not what is wrong.

    ``error`` is what a connection failed with, or leads to it; ``now`` what this machine takes for the time.
    """
    clock = f"{now or datetime.now(UTC):%Y-%m-%d %H:%M} UTC by the clock of this machine"
    for code in (getattr(each, "verify_code", None) for each in _causes(error)):
        if code == _NOT_YET_VALID:
            return f"it is {clock}, before that certificate begins: set the clock (date -s, or an NTP server)"
        if code == _EXPIRED:
            return f"it is {clock}, after that certificate has ended: renew it there, or set the clock here"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from; a connector keeps them in attributes of its own."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # An empty passphrase instead of none: OpenSSL would ask for one on the terminal, and wait.
    context.load_cert_chain(certificate, key, password="")
    return context


def _identity(certificate: Path, key: Path) -> ServerIdentity:
    _context(certificate, key)
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    return ServerIdentity(certificate, key, hashlib.sha256(der).hexdigest())


def _usable(file: Path, names: Iterable[x509.GeneralName]) -> bool:
    try:
        _identity(file, file)
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        exposed = file.stat().st_mode & 0o077
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    if exposed or not set(names) <= set(named):
        return False
    now = datetime.now(UTC)
    remaining = certificate.not_valid_after_utc - now
    return certificate.not_valid_before_utc <= now and remaining > _LEAST_REMAINING


def _replace(file: Path, content: bytes) -> None:
    """Key and certificate are one file, so that one rename puts both in place: they always belong together."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    fresh.replace(file)


def _self_signed(names: list[x509.GeneralName]) -> bytes:
    """Key and certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ogagent")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        # No CA: who trusts this certificate must not thereby trust what its key might sign.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate


def _names(addresses: Iterable[str]) -> list[x509.GeneralName]:
    host = socket.gethostname()
    numbers = dict.fromkeys(ip_address(address) for address in addresses)
    names: list[x509.GeneralName] = [x509.DNSName(host if host.isascii() and host else "localhost")]
    return names + [x509.IPAddress(number) for number in numbers if not number.is_unspecified]
