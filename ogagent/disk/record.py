"""What a partition says of itself while a restore of it has not finished, or never did: whose restore that is. And what
a disk does while its table and its file systems are made, and ogCore has not been told how that ended.

One page at 768 KiB of the partition, which is empty otherwise. libblkid, and so whoever mounts or assembles by what it
finds, knows nothing between half a MiB (the last copy of a LUKS header before 1 MiB, UDF's anchor, the end of ZFS's
second label) and the end of the first: this is away from all of it. Whole pages are what disks and page caches write.

Of a disk it is the same page, before its first partition: a table ends long before it, and so does the boot code of an
MSDOS disk, for it is loaded below 480 KiB of memory (GRUB's util/setup.c: 0x78000).

    magic, 16 bytes | version, 2 | length of the members, 2 | CRC-32 of version, length and members, 4 | members, JSON

Numbers are little-endian; the rest of the page is zeros. Whoever has been root on the machine can have written it: it
is checked as anything that comes from outside, and good for no more than to say that a job has failed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
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
_KEPT: Final = ("nfn", "dsk", "par", "idi", "nci", "ifs", "ids")
"""What is told of the request: all that a final report needs, and what people look for."""

_MAGIC: Final = b"ogagent restore\n"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<16sHHI")
_CHECKED: Final = struct.Struct("<HH")

Text = Annotated[str, Meta(max_length=200)]
JobId = Annotated[str, Meta(pattern=r"^([A-Za-z]{1,40}-[0-9a-f]{8})?\Z")]
Moment = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z\Z")]


class JobRecord(Struct, frozen=True, kw_only=True):
    """``job_id`` is empty for a restore by hand, of which nobody waits to hear. ``size`` is that of the partition or
    the disk.

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


def record_of(
    identity: str, size: int, request: Mapping[str, str], *, job_id: str, started: str, image: str = ""
) -> bytes:
    """The page for a job on a disk with this identity, or on ``size`` bytes of it; empty where it has no room.

    ``request`` is in ogCore's own shape, ``image`` the name of one that the request does not name. A restore by hand
    has no ``job_id``, and has ``started`` now.
    """
    if size < LEAST_PARTITION:
        return b""
    return encode(
        JobRecord(
            job_id=job_id,
            function=request.get("nfn", ""),
            request={name: request[name] for name in _KEPT if name in request},
            image=request.get("nci", "") or image,
            started=started or datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            disk=disk_mark(identity),
            size=size,
        )
    )


def encode(record: JobRecord) -> bytes:
    """The page; the same for the same record. Raises ValueError for one that does not fit."""
    members = msgspec.json.encode(record)
    if len(members) > LENGTH - _HEAD.size:
        raise ValueError(f"a record of {len(members)} bytes")
    head = _HEAD.pack(_MAGIC, _VERSION, len(members), _checksum(_VERSION, members))
    return (head + members).ljust(LENGTH, b"\0")


def decode(page: bytes) -> JobRecord | None:
    """None for what is no record, not whole, or of a version that is not known here."""
    if len(page) != LENGTH:
        return None
    magic, version, length, checksum = _HEAD.unpack_from(page)
    members = page[_HEAD.size : _HEAD.size + length]
    if (magic, version) != (_MAGIC, _VERSION) or checksum != _checksum(version, members):
        return None
    try:
        record = msgspec.json.decode(members, type=JobRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    texts = (record.function, record.image, record.disk, *record.request, *record.request.values())
    return record if all(text.isprintable() for text in texts) else None


def read(volume: Volume) -> JobRecord | None:
    """That of a partition, or a disk, which is as large as it was then. Raises OSError."""
    if volume.size < LEAST_PARTITION:
        return None
    try:
        record = decode(volume.read(PLACE, LENGTH))
    except ValueError:  # the device ends before the partition does
        return None
    return record if record is not None and record.size == volume.size else None


def is_free(page: bytes) -> bool:
    """Whether nothing is in its place, or no more than a record, or what is left of one."""
    return page.startswith(_MAGIC) or not any(page)


def _checksum(version: int, members: bytes) -> int:
    return zlib.crc32(_CHECKED.pack(version, len(members)) + members)
