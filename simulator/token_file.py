"""What a repository wants to see of whoever changes what it holds, in a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from simulator.errors import LabError

_LONGEST_FILE: Final = 4096


def read_token(file: Path) -> str:
    """The only line of a file that nobody else can read. Raises LabError."""
    try:
        with file.open("rb") as stream:
            exposed = stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077
            token = stream.read(_LONGEST_FILE).decode("ascii").strip()
    except OSError as error:
        raise LabError(f"the token in {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabError(f"the token in {file} is not ASCII", hint="make it with: openssl rand -hex 32") from error
    if exposed:
        raise LabError(f"the token in {file} can be read by others", hint=f"chmod 600 {file}")
    if not token or not token.isprintable() or " " in token:
        raise LabError(f"{file} does not hold one line with one word", hint="make it with: openssl rand -hex 32")
    return token
