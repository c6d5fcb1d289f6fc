"""A device for nobody else."""

from __future__ import annotations

import errno
import os
import time
from typing import Final

from ogagent.errors import DeviceBusy

_BUSY_S: Final = 1.5
_PAUSE_S: Final = 0.1


def open_exclusively(path: str, flags: int) -> int:
    """O_EXCL fails on a block device that is mounted, swapped on, or held by a volume, and means nothing for a file:
    open(2). Who looks at each device that was closed, udev or mdadm, holds it for a moment, and is waited for.

    Blocking. Raises DeviceBusy and OSError.
    """
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            return os.open(path, flags | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            if time.monotonic() > end:
                raise DeviceBusy(f"{path} is in use by somebody else", hint="unmount it first") from error
        time.sleep(_PAUSE_S)
