"""What is taken for an image and is none: known by its first bytes, named, and with what to do about it.

Sources of the numbers: libblkid's probers (util-linux, ``libblkid/src/superblocks``), the magic files of ``file``, and
for compressed files the descriptions of their formats.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ogagent.image.filesystem import BITLOCKER, BITLOCKER_TO_GO, LUKS
from ogagent.model.units import KIB

_PAGES: Final = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
)
_BEFORE_A_PAGE: Final = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, empty lines

_LOOK: Final = "look at what the repository answers at the image's address"
_PACK_AGAIN: Final = "unpack it, and compress it again with zstd, gzip or lzop"
_TAKE_OUT: Final = "take the image out of it"
_ONE_PARTITION: Final = "make an image of one of the partitions in it with partclone"
_OTHER_PROGRAM: Final = "restore it with the program that made it, and make the image again with partclone"
_OPEN: Final = "open it (cryptsetup open, vgchange -ay, mdadm --assemble), and make the image of the volume inside"
_DECRYPT: Final = "switch BitLocker off in Windows (manage-bde -off C:), wait for it, and make the image again"
_NO_BLOCKS: Final = "ZFS cannot be deployed by its blocks: use another file system"
_MAKE_SWAP: Final = "there is nothing in it to deploy: make swap space on the PC with mkswap"
_PARTCLONE: Final = "its raw bytes cannot be checked: make the image with partclone"
_NO_PARTITION: Final = "make an image of a partition with partclone"

DISK_HEAD: Final = 8 * KIB
_WHOLE_DISK: Final = "a whole disk with its partition table"

# The pages of memory that swap space may have been made for: its signature ends the first one.
_PAGE_SIZES: Final = (4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB)
_SWAP: Final = (
    (b"SWAPSPACE2", "swap space"),
    (b"SWAP-SPACE", "swap space of the old format"),
    (b"S1SUSPEND\0", "swap space that a system sleeps in"),
    (b"S2SUSPEND\0", "swap space that a system sleeps in"),
)

_STRANGERS: Final[tuple[tuple[int, bytes, str, str], ...]] = (
    (0, b"\xfd7zXZ\x00", "an xz file", _PACK_AGAIN),
    (0, b"BZh", "a bzip2 file", _PACK_AGAIN),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", _PACK_AGAIN),
    (0, b"\x02\x21\x4c\x18", "an lz4 file of the old format", _PACK_AGAIN),
    (0, b"LZIP", "an lzip file", _PACK_AGAIN),
    (0, b"LRZI", "an lrzip file", _PACK_AGAIN),
    (0, b"\x1f\x9d", "a file of compress (.Z)", _PACK_AGAIN),
    (0, b"\x1f\x1e", "a file of pack (.z)", _PACK_AGAIN),
    (0, b"bvx-", "an lzfse file", _PACK_AGAIN),
    (0, b"bvx1", "an lzfse file", _PACK_AGAIN),
    (0, b"bvx2", "an lzfse file", _PACK_AGAIN),
    (0, b"bvxn", "an lzfse file", _PACK_AGAIN),
    (1, b"\xb5\x2f\xfd", "a file of zstd before 0.8", _PACK_AGAIN),
    (0, b"PK\x03\x04", "a zip archive", _TAKE_OUT),
    (0, b"PK\x05\x06", "an empty zip archive", _TAKE_OUT),
    (0, b"PK\x07\x08", "a part of a zip archive", _TAKE_OUT),
    (0, b"7z\xbc\xaf'\x1c", "a 7z archive", _TAKE_OUT),
    (0, b"Rar!\x1a\x07", "a rar archive", _TAKE_OUT),
    (257, b"ustar", "a tar archive", _TAKE_OUT),
    (0, b"QFI\xfb", "a qcow2 disk", _ONE_PARTITION),
    (0, b"KDMV", "a VMDK disk", _ONE_PARTITION),
    (0, b"# Disk DescriptorFile", "the description of a VMDK disk", _ONE_PARTITION),
    (0, b"vhdxfile", "a VHDX disk", _ONE_PARTITION),
    (0, b"conectix", "a VHD disk", _ONE_PARTITION),
    (0, b"<<< Oracle VM VirtualBox Disk Image", "a VDI disk", _ONE_PARTITION),
    (512, b"EFI PART", f"{_WHOLE_DISK} (GPT)", _ONE_PARTITION),
    (4 * KIB, b"EFI PART", f"{_WHOLE_DISK} (GPT, sectors of 4096 bytes)", _ONE_PARTITION),
    (0, b"MSWIM\0\0\0", "a WIM image", _OTHER_PROGRAM),
    (0, b"PaRtImAgE-VoLuMe", "a partimage image", _OTHER_PROGRAM),
    (0, b"\0ntfsclone-image", "an ntfsclone image", _OTHER_PROGRAM),
    (0, b"FsA0", "a fsarchiver archive", _OTHER_PROGRAM),
    (*LUKS, "a partition encrypted with LUKS", _OPEN),
    (512, b"LABELONE", "a physical volume of LVM", _OPEN),
    (0, b"\xfc\x4e\x2b\xa9", "a member of a RAID (md 1.1)", _OPEN),
    (4 * KIB, b"\xfc\x4e\x2b\xa9", "a member of a RAID (md 1.2)", _OPEN),
    (*BITLOCKER, "a partition encrypted with BitLocker", _DECRYPT),
    (*BITLOCKER_TO_GO, "a partition encrypted with BitLocker To Go", _DECRYPT),
    (16 * KIB + 20, b"\0\0\0\x07version", "a member of a ZFS pool", _NO_BLOCKS),  # the first name in its label
    *((page - len(magic), magic, name, _MAKE_SWAP) for page in _PAGE_SIZES for magic, name in _SWAP),
    (32 * KIB, b"JFS1", "a raw partition with JFS", _PARTCLONE),
    (64 * KIB + 52, b"ReIsEr", "a raw partition with ReiserFS", _PARTCLONE),
    (1024, b"H+\0\x04", "a raw partition with HFS+", _PARTCLONE),
    (1024, b"HX\0\x05", "a raw partition with HFSX", _PARTCLONE),
    (32, b"NXSB", "a raw partition with APFS", _PARTCLONE),
    (1024, b"\x02\0\0\0\0\0\x34\x34", "a raw partition with NILFS2", _PARTCLONE),
    (3, b"ReFS\0\0\0\0", "a raw partition with ReFS", _PARTCLONE),
    (0, b"hsqs", "a squashfs", _NO_PARTITION),
    (32 * KIB + 1, b"CD001", "a CD", _NO_PARTITION),
)

_LZMA_PROPERTIES: Final = (4 * 5 + 4) * 9 + 8
"""The most that (pb * 5 + lp) * 9 + lc can be."""


class Stranger(NamedTuple):
    name: str
    hint: str


def stranger_in(head: bytes) -> Stranger | None:
    """None when nothing is known that begins so."""
    page = head.lstrip(_BEFORE_A_PAGE)[:32].lower()
    for magic, name in _PAGES:
        if page.startswith(magic):
            return Stranger(name, _LOOK)
    for offset, magic, name, hint in _STRANGERS:
        if head.startswith(magic, offset):
            return Stranger(name, hint)
    if _is_lzma(head):
        return Stranger("an lzma file", _PACK_AGAIN)
    if _has_msdos_table(head):
        return Stranger(f"{_WHOLE_DISK} (MSDOS)", _ONE_PARTITION)
    return None


def disk_in(head: bytes) -> Stranger | None:
    """Where these, ``DISK_HEAD`` of them at least, are the first bytes of a disk that holds partitions."""
    found = stranger_in(head)
    return found if found is not None and found.name.startswith(_WHOLE_DISK) else None


def _is_lzma(head: bytes) -> bool:
    """It has no magic, but what its fields may hold is rare elsewhere: XZ Utils, ``doc/lzma-file-format.txt``.

    Properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, and a length that is not known or less than the 256 GiB that
    XZ Utils believes. What is packed always begins with a zero, for which ``file`` looks, too.
    """
    dictionary, length = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:13], "little")
    likely = dictionary >= 4 * KIB and dictionary // (dictionary & -dictionary) in (1, 3)
    packed = head[13:14] == b"\0" and head[0] <= _LZMA_PROPERTIES
    return packed and likely and (length < 1 << 38 or length == (1 << 64) - 1)


def _has_msdos_table(head: bytes) -> bool:
    """In the first sector, of whatever size: four entries from 446 with status, type (4), start (8), length (12)."""
    entries = [entry for at in range(446, 510, 16) if any(entry := head[at : at + 16])]
    plausible = (entry[0] in (0, 0x80) and entry[4] and any(entry[8:12]) and any(entry[12:]) for entry in entries)
    return head[510:512] == b"\x55\xaa" and bool(entries) and all(plausible)
