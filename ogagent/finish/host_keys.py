"""SSH host keys made anew: with those of the model every PC of a room could pass for every other.

Only the kinds that are there, in OpenSSH's own form (PROTOCOL.key of OpenSSH), which ``ssh-keygen`` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ogagent.finish.files import Edit, Files

_FOLDER: Final = "etc/ssh"
_KINDS: Final = ("rsa", "ecdsa", "ed25519", "dsa")
_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "nistp256": ec.SECP256R1(),
    "nistp384": ec.SECP384R1(),
    "nistp521": ec.SECP521R1(),
}
_RSA_BITS: Final = 3072  # as ssh-keygen(1) makes them
_EXPONENT: Final = 65537
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def kinds_in(files: Files) -> tuple[str, ...]:
    names = files.names(_FOLDER)
    return tuple(kind for kind in _KINDS if f"ssh_host_{kind}_key" in names)


def new_host_keys(files: Files, owner: str) -> Iterator[Edit]:
    """``owner`` stands in the comment. DSA, which OpenSSH has given up, goes without another one; certificates of the
    model's keys go with them.
    """
    for kind in kinds_in(files):
        path = f"{_FOLDER}/ssh_host_{kind}_key"
        yield Edit(path=f"{path}-cert.pub")
        if kind == "dsa":
            yield Edit(path=path)
            yield Edit(path=f"{path}.pub")
            continue
        key = _made(kind, (files.read(f"{path}.pub") or b"").decode("ascii", "replace"))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        yield Edit(path=path, content=private, mode=0o600)
        yield Edit(path=f"{path}.pub", content=b"%b root@%b\n" % (public, owner.encode()))


def _made(kind: str, old: str) -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(_EXPONENT, _RSA_BITS)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    found = (curve for name, curve in _CURVES.items() if old.startswith(f"ecdsa-sha2-{name} "))
    return ec.generate_private_key(next(found, ec.SECP256R1()))
