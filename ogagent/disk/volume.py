"""The bytes of one partition inside an open device or file."""

from __future__ import annotations

import os

from msgspec import Struct


class Volume(Struct, frozen=True):
    """``offset`` and ``size`` are in bytes."""

    fd: int
    offset: int
    size: int

    def read(self, at: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises ValueError outside the volume or at a short read, and OSError."""
        if at < 0 or length < 0 or at + length > self.size:
            raise ValueError(f"{length} bytes at {at} are outside a volume of {self.size} bytes")
        data = os.pread(self.fd, length, self.offset + at)
        if len(data) != length:
            raise ValueError(f"only {len(data)} of {length} bytes at {at}")
        return data
