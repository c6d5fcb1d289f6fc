"""What tests have mounted, unmounted again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

_TRIES: Final = 1200
_PAUSE_S: Final = 0.1


def unmount(place: Path | str) -> None:
    """Tries again while it is busy: whoever looks how full file systems are, or makes a view of the mounts for himself,
    as agents do when they start, holds each of them for a moment.
    """
    for _ in range(_TRIES):
        done = subprocess.run(["umount", place], capture_output=True, text=True, check=False)
        if "busy" not in done.stderr:
            break
        time.sleep(_PAUSE_S)
    assert done.returncode == 0, done.stderr
