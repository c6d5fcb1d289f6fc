"""What the tools find on a partition that is a file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PASSPHRASE = b"correct horse"


def run(
    program: str, *arguments: str | Path, data: bytes = b"", quiet: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Skips the test when there is no such program; with ``quiet`` it may fail."""
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([path, *map(str, arguments)], input=data, capture_output=True, check=False, timeout=300)
    assert quiet or done.returncode == 0, f"{program} {arguments}: {done.stderr.decode(errors='replace')}"
    return done


def found(path: Path) -> set[str]:
    """The kinds of all signatures that wipefs would wipe."""
    return _kinds(run("wipefs", "--no-act", "--noheadings", "--output", "TYPE", path))


def shown(path: Path) -> set[str]:
    """What blkid says of it: one kind, or none, also when there are several."""
    return _kinds(run("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", path, quiet=True))


def _kinds(asked: subprocess.CompletedProcess[bytes]) -> set[str]:
    return {line.strip() for line in asked.stdout.decode().split("\n") if line.strip()}


def opens(path: Path) -> bool:
    """Whether the passphrase opens a LUKS container. Asked of a copy, for cryptsetup repairs headers when it can."""
    copy = path.with_name("copy")
    run("cp", "--sparse=always", path, copy)
    asked = ("open", "--test-passphrase", "--key-file", "-", "--batch-mode")
    return run("cryptsetup", *asked, copy, data=PASSPHRASE, quiet=True).returncode == 0
