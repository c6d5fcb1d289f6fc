"""What a partition says of itself while a restore of it has not finished, or never did: whose restore that is.

One page at 768 KiB of the partition, which is empty otherwise. libblkid, and so whoever mounts or assembles by what it
finds, knows nothing between half a MiB (the last copy of a LUKS header before 1 MiB, UDF's anchor, the end of ZFS's
second label) and the end of the first: this is away from all of it. Whole pages are what disks and page caches write.

    magic, 16 bytes | version, 2 | length of the members, 2 | CRC-32 of version, length and members, 4 | members, JSON

Numbers are little-endian; the rest of the page is zeros. Whoever has been root on the machine can have written it: it
is checked as anything that comes from outside, and good for no more than to say that a restore has failed.
"""

from __future__ import annotations

import struct
import zlib
from typing import Annotated, Final

import msgspec
from blake3 import blake3
from msgspec import Meta, Struct

from ogagent.disk.volume import Volume
from ogagent.model.units import KIB, MIB

PLACE: Final = 768 * KIB
LENGTH: Final = 4 * KIB
LEAST_PARTITION: Final = MIB
"""A smaller one has no room for it, and nobody restores it."""

_MAGIC: Final = b"ogagent restore\n"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<16sHHI")
_CHECKED: Final = struct.Struct("<HH")

Text = Annotated[str, Meta(max_length=200)]
JobId = Annotated[str, Meta(pattern=r"^([A-Za-z]{1,40}-[0-9a-f]{8})?\Z")]
Moment = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z\Z")]


class RestoreRecord(Struct, frozen=True, kw_only=True):
    """``job_id`` is empty for a restore by hand, of which nobody waits to hear. ``size`` is that of the partition.

    ``disk`` is ``disk_mark`` of the disk's identity, ``request`` what ogCore knows the job by, ``image`` its name,
    ``started`` when the job was accepted, UTC. ``reported``: ogCore has been told how it ended.
    """

    job_id: JobId
    function: Text
    request: Annotated[dict[Text, Text], Meta(max_length=12)]
    image: Text
    started: Moment
    disk: Text
    size: int
    reported: bool = False


def disk_mark(identity: str) -> str:
    """Tells a disk from its copy."""
    return blake3(identity.encode()).hexdigest(16)


def encode(record: RestoreRecord) -> bytes:
    """The page; the same for the same record. Raises ValueError for one that does not fit."""
    members = msgspec.json.encode(record)
    if len(members) > LENGTH - _HEAD.size:
        raise ValueError(f"a record of {len(members)} bytes")
    head = _HEAD.pack(_MAGIC, _VERSION, len(members), _checksum(_VERSION, members))
    return (head + members).ljust(LENGTH, b"\0")


def decode(page: bytes) -> RestoreRecord | None:
    """None for what is no record, not whole, or of a version that is not known here."""
    if len(page) != LENGTH:
        return None
    magic, version, length, checksum = _HEAD.unpack_from(page)
    members = page[_HEAD.size : _HEAD.size + length]
    if (magic, version) != (_MAGIC, _VERSION) or checksum != _checksum(version, members):
        return None
    try:
        record = msgspec.json.decode(members, type=RestoreRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    texts = (record.function, record.image, record.disk, *record.request, *record.request.values())
    return record if all(text.isprintable() for text in texts) else None


def read(volume: Volume) -> RestoreRecord | None:
    """That of a partition which is as large as it was then. Raises OSError."""
    if volume.size < LEAST_PARTITION:
        return None
    try:
        record = decode(volume.read(PLACE, LENGTH))
    except ValueError:  # the device ends before the partition does
        return None
    return record if record is not None and record.size == volume.size else None


def _checksum(version: int, members: bytes) -> int:
    return zlib.crc32(_CHECKED.pack(version, len(members)) + members)
