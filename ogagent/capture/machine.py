"""What making an image needs of a machine, beside its disks.

``ogagent.capture.real`` is the machine the agent runs on; a twin whose disks are files implements the same protocol.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ogagent.model.plan import Target
from ogagent.system.process import Piped


class ModelMachine(Protocol):
    def place(self, target: Target) -> tuple[str, int]:
        """A file that can be read, and where in it the partition begins, in bytes."""

    async def beginning(self, target: Target, filesystem: str) -> bytes:
        """What partclone would begin an image of the partition with: header, bitmap, and the bitmap's checksum.
        ``filesystem`` as libblkid names it; empty: all blocks are in use. The partition stays as it is.

        Raises ModelNotRead, ToolMissing.
        """

    def stream(self, target: Target, filesystem: str) -> AbstractAsyncContextManager[Piped]:
        """All of what partclone makes of it. Raises ModelNotRead, also at the end, and ToolMissing."""

    def node(self, target: Target) -> AbstractAsyncContextManager[str]:
        """A device, or a file, that is the partition and nothing else, for tools that change it. Nobody else holds it
        when the block begins. Raises DiskChanged, DeviceBusy.
        """
