"""Members of RAIDs and volumes, and what is encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.signatures.plant import (
    MIB,
    SIZE,
    Plant,
    be32,
    be64,
    crc32,
    crc32c,
    crc64,
    fields,
    le16,
    le32,
    le64,
    sum16,
    sum32,
)

_SECTORS: Final = SIZE // 512
_MD: Final = 0xA92B4EFC
PROMISE: Final = (63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087)
LUKS2_COPIES: Final = (0x4000, 0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000)


def _sector(from_end: int) -> int:
    return (_SECTORS - from_end) * 512


def volumes() -> Iterator[Plant]:
    yield from _linux_raids()
    yield from _firmware_raids()
    yield from _caches()
    yield from _encrypted()
    yield from _lvm()
    yield from _drbd()
    yield Plant("VMFS volume", "VMFS_volume_member", {MIB: fields(600, {0: b"\x0d\xd0\x01\xc0", 4: le32(3)})})
    yield Plant("VMFS", "VMFS", {2 * MIB: fields(512, {0: b"\x5e\xf1\xab\x2f", 8: b"\5"})})
    yield Plant("VDO", "vdo", {0: b"dmvdo001"})
    yield Plant("snapshot", "DM_snapshot_cow", {0: b"SnAp"})
    for offset in (512, 4608):
        sector = fields(508, {0: b"!Stra0tis\x86\xff\x02^\x41rh", 16: le64(_SECTORS)})
        yield Plant(f"Stratis at {offset}", "stratis", {offset: le32(crc32c(sector) ^ 0xFFFFFFFF) + sector})


def _linux_raids() -> Iterator[Plant]:
    for name, order in (("little", le32), ("big", be32)):
        block = fields(512, {0: order(_MD), 8: order(90), 28: order(1), 32: order(1024), 36: order(2), 40: order(2)})
        yield Plant(f"Linux RAID 0.90, {name}", "linux_raid_member", {(SIZE // 65536 - 1) * 65536: block})
    for version, offset in (("1.0", SIZE // 4096 * 4096 - 8192), ("1.1", 0), ("1.2", 4096)):
        head = fields(
            256, {0: le32(_MD), 4: le32(1), 72: le32(1), 80: le64(2048), 92: le32(2), 144: le64(offset // 512)}
        )
        total = sum32(head)
        block = fields(256, {0: head, 216: le32((total >> 32) + (total & 0xFFFFFFFF))})
        yield Plant(f"Linux RAID {version}", "linux_raid_member", {offset: block})


def _firmware_raids() -> Iterator[Plant]:
    for from_end in (1, 257):
        header = fields(512, {0: be32(0xDE11DE11), 4: be32(0xFFFFFFFF), 8: b"LINUX-MD", 32: b"01.02.00"})
        sector = fields(512, {0: header, 4: be32(crc32(header, 0))})
        yield Plant(f"DDF {from_end}", "ddf_raid_member", {_sector(from_end): sector})
    yield Plant("Intel", "isw_raid_member", {_sector(2): fields(48, {0: b"Intel Raid ISM Cfg Sig. 1.3.00"})})
    yield Plant("LSI", "lsi_mega_raid_member", {_sector(1): b"$XIDE$"})
    via = fields(50, {0: b"\x55\xaa\1", 3: b"\1"})
    yield Plant("VIA", "via_raid_member", {_sector(1): via + bytes((sum(via) & 0xFF,))})
    silicon = fields(0x200, {0x60: le32(0x2F000000), 0x10C: le16(2), 0x116: b"\1"})
    sums = le16(-sum16(silicon[:0x13E]) & 0xFFFF)
    yield Plant("Silicon", "silicon_medley_raid_member", {_sector(1): fields(0x200, {0: silicon, 0x13E: sums})})
    nvidia = fields(120, {0: b"NVIDIA  ", 8: le32(30), 16: le16(100)})
    sums = le32(-sum32(nvidia) & 0xFFFFFFFF)
    yield Plant("NVIDIA", "nvidia_raid_member", {_sector(2): fields(120, {0: nvidia, 12: sums})})
    for from_end in PROMISE:
        piece = b"Promise Technology, Inc."
        yield Plant(f"Promise {from_end}", "promise_fasttrack_raid_member", {_sector(from_end): piece})
    for magic in (0x5A7816F3, 0x5A7816FD):
        yield Plant(f"HighPoint 45x {magic:x}", "hpt45x_raid_member", {_sector(11): le32(magic)})
    for magic in (0x5A7816F0, 0x5A7816FD):
        yield Plant(f"HighPoint 37x {magic:x}", "hpt37x_raid_member", {4640: le32(magic)})
    adaptec = fields(512, {0: be32(0x37FC4D1E), 256: b"DPTM"})
    yield Plant("Adaptec", "adaptec_raid_member", {_sector(1): adaptec})
    micron = fields(128, {0: b"JM", 2: le16(0x100)})
    sums = le16(-sum16(micron) & 0xFFFF)
    yield Plant("JMicron", "jmicron_raid_member", {_sector(1): fields(128, {0: micron, 4: sums})})


def _caches() -> Iterator[Plant]:
    magic = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
    block = fields(208, {8: le64(8), 16: le64(1), 24: magic, 40: b"u" * 16})
    yield Plant("bcache", "bcache", {4096: fields(4096, {0: le64(crc64(block[8:])), 8: block[8:]})})
    magic = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
    for offset in (4096, 2 * MIB, SIZE - MIB):
        values = {16: le16(26), 24: magic, 104: le64(offset // 512), 120: le16(8), 123: b"\1", 257: b"\13"}
        yield Plant(f"bcachefs at {offset}", "bcachefs", {offset: fields(2048, values)}, newer=True)


def _encrypted() -> Iterator[Plant]:
    yield Plant("LUKS1", "crypto_LUKS", {0: fields(592, {0: b"LUKS\xba\xbe\0\1"})})
    for offset in (0, *LUKS2_COPIES):
        magic = b"SKUL\xba\xbe" if offset else b"LUKS\xba\xbe"
        header = fields(4096, {0: magic, 6: b"\0\2", 8: be64(offset or 0x4000), 256: be64(offset)})
        yield Plant(f"LUKS2 at {offset}", "crypto_LUKS", {offset: header})
    yield Plant("verity", "DM_verity_hash", {0: b"verity\0\0" + le32(1)})
    yield Plant("integrity", "DM_integrity", {0: b"integrt\0\1"})


def _lvm() -> Iterator[Plant]:
    for number in range(4):
        label = fields(512, {0: b"LABELONE", 8: le64(number), 20: le32(32), 24: b"LVM2 001", 32: b"i" * 32})
        sector = fields(512, {0: label, 16: le32(crc32(label[20:], 0xF597A6CF))})
        yield Plant(f"LVM2 in sector {number}", "LVM2_member", {number * 512: sector})
    yield Plant("LVM1", "LVM1_member", {0: b"HM\1\0"})


def _drbd() -> Iterator[Plant]:
    for last in (0x6B, 0x6C, 0x6D):
        values = {60: bytes((0x83, 0x74, 0x02, last)), 80: be32(4096)}
        yield Plant(f"DRBD {last:x}", "drbd", {SIZE - 4096: fields(4096, values)})
    yield Plant("DRBD proxy", "drbdproxy_datalog", {0: b"DRBDdlh*" + bytes(64)})
