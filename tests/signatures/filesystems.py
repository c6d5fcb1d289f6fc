"""File systems that no program at hand makes, partition tables, and swap."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from tests.signatures.plant import SIZE, Plant, be32, be64, crc32c, fields, le16, le32, le64

KIB: Final = 1 << 10
_UFS: Final = (0x00011954, 0x19540119, 0x00195612, 0x00095014, 0x00612195, 0x05231994)
_LABEL: Final = 256 * KIB


def filesystems() -> Iterator[Plant]:
    yield from _swaps()
    yield from _zfs()
    yield from _reiser()
    yield from _optical()
    yield from _unix()
    for sector in (0, 1, 100, 511):
        log = {0: be32(0xFEEDBABE), 8: be32(2), 12: be32(512), 300: be32(1)}
        yield Plant(f"XFS log in sector {sector}", "xfs_external_log", {sector * 512: fields(512, log)})
    jfs = {0: b"JFS1", 4: le32(2), 16: le32(4096), 20: le16(12), 22: le16(3), 24: le32(512), 28: le16(9)}
    yield Plant("JFS", "jfs", {32 * KIB: fields(512, jfs)})
    for kind, format_, hosts in (("gfs", 1309, 1401), ("gfs2", 1801, 1900)):
        values = {0: be32(0x01161970), 24: be32(format_), 28: be32(hosts), 36: be32(4096)}
        yield Plant(kind, kind, {64 * KIB: fields(512, values)})
    for kind, flag in (("scoutfs_meta", 1), ("scoutfs_data", 0)):
        block = fields(4096, {4: b"\x8b\x42\x3c\x10", 48: le64(flag)})
        yield Plant(kind, kind, {64 * KIB: le32(crc32c(block[4:])) + block[4:]}, newer=True)
    yield Plant("NSS", "nss", {4 * KIB: fields(512, {0: b"SPB5"})})
    ultrix = fields(72, {0: le32(0x032957), 4: le32(1)})
    yield Plant("Ultrix", "ultrix", {16 * KIB - 72: ultrix})
    for size in (4096, 2048, 1024):
        yield Plant(f"DASD of {size}", "dasd", {2 * size: b"\xd3\xd5\xe7\xf1" + bytes(200)}, newer=True)


def _swaps() -> Iterator[Plant]:
    header = fields(1024, {0: le32(1), 4: le32(100), 12: b"u" * 16})
    for size in (4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB):
        for kind, magics in (
            ("swap", "SWAP-SPACE SWAPSPACE2"),
            ("swsuspend", "S1SUSPEND S2SUSPEND ULSUSPEND LINHIB0001"),
        ):
            for magic in magics.split():
                yield Plant(f"{magic} of {size}", kind, {1024: header, size - 10: magic.encode()})
    toi = bytes.fromhex("edc302e99856e50c")
    yield Plant("TuxOnIce", "swsuspend", {0: toi, 1024: header})


def _pair(name: bytes, type_: int, value: bytes) -> bytes:
    padded = name.ljust(-(-len(name) // 4) * 4, b"\0")
    body = be32(len(name)) + padded + be32(type_) + be32(1) + value
    return be32(len(body) + 8) + be32(len(body) + 8) + body


def _zfs() -> Iterator[Plant]:
    """Names and values, and, which old libblkids go by, superblocks."""
    pairs = (
        *(
            (name, 8, be64(value))
            for name, value in ((b"version", 5000), (b"state", 0), (b"txg", 4), (b"pool_guid", 77))
        ),
        (b"name", 9, be32(4) + b"pool"),
        (b"guid", 8, be64(78)),
    )
    names = b"\1\1\0\0" + be32(0) + be32(1) + b"".join(_pair(*pair) for pair in pairs) + bytes(8)
    for number, label in enumerate((0, 1, SIZE // _LABEL - 2, SIZE // _LABEL - 1)):
        start = label * _LABEL
        blocks = {start + 128 * KIB + at * 4096: le64(0x00BAB10C) + le64(5000) for at in range(6)}
        yield Plant(f"ZFS label {number}", "zfs_member", {start + 16 * KIB: names, **blocks})


def _reiser() -> Iterator[Plant]:
    places = (
        (8 * KIB, 52, b"ReIsErFs"),
        (8 * KIB, 20, b"ReIsErFs"),
        *((64 * KIB, 52, magic) for magic in (b"ReIsErFs", b"ReIsEr2Fs", b"ReIsEr3Fs")),
    )
    for offset, place, magic in places:
        block = fields(512, {12: le32(200), 44: le16(4096), place: magic})
        yield Plant(f"{magic.decode()} at {offset}, {place}", "reiserfs", {offset: block})
    yield Plant("Reiser4", "reiser4", {64 * KIB: fields(512, {0: b"ReIsEr4", 19: b"\x10"})})


def _optical() -> Iterator[Plant]:
    anchor = fields(512, {0: le16(2), 12: le32(256), 16: le32(4096), 20: le32(300)})
    volume = fields(512, {0: le16(6), 12: le32(300), 217: b"*OSTA UDF Compliant", 240: le16(0x201)})
    sequence = {32 * KIB: b"\0BEA01\1", 34 * KIB: b"\0NSR03\1", 36 * KIB: b"\0TEA01\1", 38 * KIB: bytes(64)}
    yield Plant("UDF", "udf", {**sequence, 256 * 2048: anchor, 300 * 2048: volume})
    record = {2: le32(20), 10: le32(2048)}
    primary = {0: b"\1CD001\1", 80: le32(30), 128: le16(2048), **{156 + at: value for at, value in record.items()}}
    end = fields(2048, {0: b"\xffCD001\1"})
    directory = fields(64, {0: b"\x22", 2: le32(20), 10: le32(2048), 32: b"\1\0"})
    yield Plant("ISO 9660", "iso9660", {32 * KIB: fields(2048, primary), 34 * KIB: end, 20 * 2048: directory})


def _unix() -> Iterator[Plant]:
    for block, magic in product((0, 8, 64, 256), _UFS):
        for order, name in ((le32, "little"), (be32, "big")):
            values = {52: order(512), 1372: order(magic)}
            yield Plant(f"UFS {magic:x} at {block} KiB, {name}", "ufs", {block * KIB: fields(2048, values)})
    for block in (0, 9, 15, 18):
        for order, name in ((le32, "little"), (be32, "big")):
            piece = fields(512, {504: order(0xFD187E20)})
            yield Plant(f"System V at {block} KiB, {name}", "sysv", {block * KIB + 512: piece})
    hpfs = {8 * KIB: bytes.fromhex("49e895f9c5e9538f02"), 8 * KIB + 512: bytes.fromhex("491891f9c529534f")}
    yield Plant("HPFS", "hpfs", {at: fields(512, {0: value}) for at, value in hpfs.items()})
    for offset, vxfs in ((KIB, "f5fc01a5"), (8 * KIB, "a501fcf5")):
        yield Plant(f"VxFS at {offset}", "vxfs", {offset: fields(512, {0: bytes.fromhex(vxfs), 32: be32(1024)})})
    yield Plant("OCFS", "ocfs", {8 * KIB: fields(1024, {0: b"OracleCFS"})})
    for block in (1, 2, 4, 8):
        yield Plant(f"OCFS2 at {block} KiB", "ocfs2", {block * KIB: fields(512, {0: b"OCFSV2"})})
    yield Plant("Oracle ASM", "oracleasm", {32: b"ORCLDISK" + bytes(24)})
