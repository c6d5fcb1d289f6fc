"""The lab's own certificate authority, in a directory: ``ca.pem`` for everybody, ``ca.key`` for the lab alone."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME: Final = datetime.timedelta(days=30)
_CLOCK_SKEW: Final = datetime.timedelta(hours=1)


class Authority:
    def __init__(self, directory: Path) -> None:
        """Makes the authority in ``directory`` when there is none."""
        self.directory = directory
        self.certificate = directory / "ca.pem"
        self._key_file = directory / "ca.key"
        directory.mkdir(parents=True, exist_ok=True)
        if not self.certificate.exists():
            self._make()

    def server_context(self, address: str) -> ssl.SSLContext:
        """For a server at ``address``, with a certificate and a key made for it now."""
        certificate, key = self._files(address)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def fingerprint(self, address: str) -> str:
        """SHA-256 of the certificate that ``server_context`` made last for ``address``, in hexadecimal."""
        pem = (self.directory / f"{address}.pem").read_bytes()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("ogsim lab CA")
        builder = _builder(name, name, key.public_key(), key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        _write_key(self._key_file, key)
        self.certificate.write_bytes(_pem(builder.sign(key, hashes.SHA256())))

    def _files(self, address: str) -> tuple[Path, Path]:
        ca_key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_file} holds no elliptic curve key")
        ca = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(ca.subject, _name(address), key.public_key(), ca_key.public_key())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        certificate_file, key_file = self.directory / f"{address}.pem", self.directory / f"{address}.key"
        _write_key(key_file, key)
        certificate_file.write_bytes(_pem(builder.sign(ca_key, hashes.SHA256())))
        return certificate_file, key_file


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - _CLOCK_SKEW).not_valid_after(now + _LIFETIME)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
