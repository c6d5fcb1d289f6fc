"""Why a server was not believed to be who it should be, in words, and what to do about it.

The numbers are OpenSSL's (``x509_vfy.h``, X509_V_ERR_…); ``ssl`` has no names for them.
"""

from __future__ import annotations

import ssl
from datetime import datetime
from typing import Final, NamedTuple

_HINTS: Final[tuple[tuple[tuple[int, ...], str], ...]] = (
    # not yet valid: the certificate, or a list of revoked ones
    ((9, 11), "set this machine's clock, which says {now}; if that is right, have the certificate made anew"),
    # expired
    ((10, 12), "renew the certificate; or set this machine's clock, which says {now}, if that is wrong"),
    # another host name, another address
    ((62, 64), "call the server by a name that its certificate has, or have this one put into it (subjectAltName)"),
    # no issuer, signed by itself, by an unknown root, by nobody who is known, by one who is not trusted
    ((2, 18, 19, 20, 21, 27), "set {ca} to the CA of the server"),
    ((23,), "give the server another certificate: this one has been revoked"),
    # the server's key, the CA's key, the hash
    ((66, 67, 68), "have the certificate made anew, with a longer key and SHA-256"),
)
_OTHERWISE: Final = "have the certificate made anew, for a server, and see that {ca} is its CA"

_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_OLD_TLS: Final = (
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "NO_SHARED_CIPHER",
)
_WANTS_CERTIFICATE: Final = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "PEER_DID_NOT_RETURN_A_CERTIFICATE")

# The connection ended in the middle of the handshake: that may be better the next time.
_BROKEN_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class Distrust(NamedTuple):
    reason: str
    hint: str


def distrust(error: BaseException, ca: str, clock: datetime) -> Distrust | None:
    """What to make of a failed handshake; None when trying again may help, or when it was none.

    ``ca`` is the setting that says whose certificates are believed, ``clock`` what this machine's clock shows (UTC).
    """
    found = _ssl_error(error)
    if found is None or isinstance(found, _BROKEN_OFF):
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        return Distrust(found.verify_message.rstrip("."), _about_certificate(found.verify_code, ca, clock))
    reason = getattr(found, "reason", None) or str(found)  # OpenSSL's own errors have one
    if reason in _NO_TLS:
        return Distrust("it does not speak TLS there", "look at the URL: https or http, and the port")
    if reason in _OLD_TLS:
        return Distrust("it speaks no TLS that is safe", "let it speak TLS 1.2 or 1.3")
    if reason in _WANTS_CERTIFICATE:
        return Distrust("it asks for a certificate, and there is none to show", "let it serve callers without one")
    return Distrust(reason.lower().replace("_", " "), "look into the server's log")


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    """The innermost: aiohttp's own errors are called SSLError as well, and say less."""
    found = None
    while error is not None:
        if isinstance(error, ssl.SSLError):
            found = error
        error = error.__cause__
    return found


def _about_certificate(code: int, ca: str, clock: datetime) -> str:
    hint = next((hint for codes, hint in _HINTS if code in codes), _OTHERWISE)
    return hint.format(ca=ca, now=f"{clock:%Y-%m-%d %H:%M} UTC")
