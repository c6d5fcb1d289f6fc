"""The agent's secret: callers show it in mode ``secret``, and reports to ogCore are signed with it in every mode."""

from __future__ import annotations

import math
import os
import secrets
import stat
import string
from pathlib import Path
from typing import Final

from ogagent.errors import SettingsError
from ogagent.settings import AccessSettings

_BITS: Final = 256
_FILE_SIZE: Final = 4096
_ALPHABETS: Final = (string.digits, "0123456789abcdef", string.digits + string.ascii_letters + "-_")


def agent_secret(settings: AccessSettings) -> str:
    """The fixed one, or a fresh one. Raises SettingsError."""
    return _read_secret(Path(settings.secret_file)) if settings.secret_file else secrets.token_urlsafe(32)


def _read_secret(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            exposed = stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077
            secret = stream.read(_FILE_SIZE).decode("ascii").strip()
    except OSError as error:
        raise SettingsError(f"access.secret_file: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"access.secret_file: {file} holds something that is not ASCII") from error
    if exposed:
        raise SettingsError(f"access.secret_file: {file} can be read by others", hint=f"chmod 600 {file}")
    if not secret.isprintable() or " " in secret:
        raise SettingsError(f"access.secret_file: {file} holds more than one word, a header could not carry it")
    if _bits(secret) < _BITS:
        raise SettingsError(
            f"access.secret_file: the secret in {file} holds at most {_bits(secret)} bits, {_BITS} are needed",
            hint="make it with: openssl rand -hex 32",
        )
    return secret


def _bits(secret: str) -> int:
    """What it would hold if it were drawn at random from the smallest of the usual alphabets."""
    alphabet = next((each for each in _ALPHABETS if set(secret) <= set(each)), string.printable)
    return int(len(secret) * math.log2(len(alphabet)))
