"""Partitions as real programs make them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.signatures.judge import PASSPHRASE, run
from tests.signatures.plant import PAGE, SIZE
from tests.signatures.volumes import LUKS2_COPIES

_LAST_SECTOR: Final = (SIZE - 512) // PAGE * PAGE


class Made(Struct, frozen=True):
    """``pages`` are those by which it is known, ``kinds`` what wipefs calls it."""

    kinds: set[str]
    pages: set[int]
    make: Callable[[Path], object]


def _by(*command: str, stdin: bytes = b"") -> Callable[[Path], object]:
    return lambda path: run(command[0], *command[1:], path, data=stdin)


def _luks(path: Path, *options: str) -> None:
    fast = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    run("cryptsetup", "luksFormat", "--batch-mode", *fast, *options, path, "-", data=PASSPHRASE)


def luks2(copy: int) -> Callable[[Path], object]:
    """Its second header stands where the first one ends."""
    return lambda path: _luks(
        path, "--type", "luks2", "--luks2-metadata-size", str(copy), "--luks2-keyslots-size", str(16 << 20)
    )


MADE: Final[dict[str, Made]] = {
    "ext4": Made({"ext4"}, {0}, _by("mkfs.ext4", "-q", "-F")),
    "XFS": Made({"xfs"}, {0}, _by("mkfs.xfs", "-q", "-f", "--unsupported")),
    "btrfs": Made({"btrfs"}, {16 * PAGE}, _by("mkfs.btrfs", "-q", "-f", "--mixed")),
    "FAT": Made({"vfat"}, {0}, _by("mkfs.vfat", "-F", "32")),
    "exFAT": Made({"exfat"}, {0}, _by("mkfs.exfat")),
    "F2FS": Made({"f2fs"}, {0, PAGE}, _by("mkfs.f2fs", "-q", "-f")),
    "NTFS": Made({"ntfs"}, {0, _LAST_SECTOR}, _by("mkfs.ntfs", "-q", "-F", "-f")),
    "NILFS2": Made(
        {"nilfs2"}, {0, (SIZE - 4096) // PAGE * PAGE}, _by("mkfs.nilfs2", "-q", "-f", "-b", "1024", "-B", "16")
    ),
    "swap": Made({"swap"}, {0}, _by("mkswap", "-q")),
    "GPT": Made({"gpt", "PMBR"}, {0, _LAST_SECTOR}, _by("sfdisk", "-q", stdin=b"label: gpt\nstart=2048")),
    "LUKS1": Made({"crypto_LUKS"}, {0}, lambda path: _luks(path, "--type", "luks1")),
    **{f"LUKS2 {copy >> 10} KiB": Made({"crypto_LUKS"}, {0, copy}, luks2(copy)) for copy in LUKS2_COPIES},
}
