"""Which partition, as Windows names it: by what its table says of the disk and of it.

Source: ``BASIC_VOLUME_UNIQUE_ID`` of ReactOS' partmgr, 12 bytes for a partition of an MSDOS table, ``DMIO:ID:`` and a
GUID for one of a GPT; the key MountedDevices holds them. GUIDs are mixed-endian, as everywhere in Windows.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec import Struct

from ogagent.errors import NotReady
from ogagent.model.disk import TableKind
from ogagent.model.plan import Target
from ogagent.partition.gpt import gpt_at

_MSDOS: Final = struct.Struct("<IQ")
_GPT: Final = b"DMIO:ID:"
_SIGNATURE: Final = slice(440, 444)
"""Of the first sector: the number that Windows gives each disk with an MSDOS table."""
_ENTRY_GUID: Final = slice(16, 32)
"""Of an entry of a GPT: the partition's own, UEFI specification 2.10, 5.3.3."""


class MsdosPlace(Struct, frozen=True, tag=True):
    """``signature`` of the disk; ``start`` of the partition in bytes from the disk's."""

    signature: int
    start: int

    @property
    def unique_id(self) -> bytes:
        return _MSDOS.pack(self.signature, self.start)


class GptPlace(Struct, frozen=True, tag=True):
    disk: UUID
    partition: UUID

    @property
    def unique_id(self) -> bytes:
        """The disk is not in it."""
        return _GPT + self.partition.bytes_le


Place = MsdosPlace | GptPlace


def place_of(target: Target, table: TableKind) -> Place:
    """As the disk's table has it now. Blocking. Raises NotReady, also for a disk that Windows would have to name first,
    and OSError.
    """
    with Path(target.disk_device).open("rb", buffering=0) as disk:
        fd = disk.fileno()
        if table == "msdos":
            signature = int.from_bytes(os.pread(fd, 512, 0)[_SIGNATURE], "little")
            if not signature:
                raise NotReady(
                    f"{target.disk_device} has no disk signature, by which Windows knows it",
                    hint="make its partition table anew",
                )
            return MsdosPlace(signature, target.start)
        return _gpt_place(fd, target)


def _gpt_place(fd: int, target: Target) -> GptPlace:
    size = os.lseek(fd, 0, os.SEEK_END)
    found = gpt_at(1, lambda at, length: os.pread(fd, length, at), size, target.sector_size)
    if found is not None:
        for start, _, entry in found.rows(target.sector_size):
            if start == target.start:
                return GptPlace(UUID(bytes_le=found.guid), UUID(bytes_le=entry[_ENTRY_GUID]))
    raise NotReady(f"{target.name} is not in the partition table of {target.disk_device}")
