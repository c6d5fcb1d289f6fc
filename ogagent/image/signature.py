"""``X.img.index.sig``: an Ed25519 signature, 64 bytes, over the bytes of the index file.

The index holds the digests of all the rest and the image's name, so this one signature covers the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ogagent.errors import SettingsError, SignatureRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX: Final = ".index.sig"
LENGTH: Final = 64
HOW_TO_SIGN: Final = "sign it: ogagent image index FILE --key KEY"
_HOW_TO_MAKE: Final = "make one: openssl genpkey -algorithm ed25519 -out KEY"
_HOW_TO_EXTRACT: Final = "make it from the private key: openssl pkey -in KEY -pubout -out PUBLIC"


def signing_key(pem: bytes, name: str) -> Ed25519PrivateKey:
    """Raises SettingsError, which names the file ``name``."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise SettingsError(f"{name} holds no private key that can be read: {error}", hint=_HOW_TO_MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{name} holds no Ed25519 key", hint=_HOW_TO_MAKE)
    return key


def public_key(pem: bytes, name: str) -> Ed25519PublicKey:
    """Raises SettingsError, which names the file ``name``."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise SettingsError(f"{name} holds no public key that can be read: {error}", hint=_HOW_TO_EXTRACT) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"{name} holds no Ed25519 key", hint=_HOW_TO_EXTRACT)
    return key


def check_signature(index: bytes, signature: bytes | None, keys: Iterable[Ed25519PublicKey]) -> None:
    """Raises SignatureRefused unless one of the keys made ``signature`` over the bytes of the index file."""
    from cryptography.exceptions import InvalidSignature

    if signature is None:
        raise SignatureRefused("the image is not signed", hint=HOW_TO_SIGN)
    for key in keys:
        try:
            key.verify(signature, index)
        except InvalidSignature:
            continue
        return
    raise SignatureRefused(
        "the signature of the image's index is by none of the keys that are trusted, or the index was changed"
    )
