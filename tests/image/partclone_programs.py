"""The real partclone and the programs that make file systems, as they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def run(program: str, *arguments: str | Path) -> None:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{program}: {done.stdout.decode()}{done.stderr.decode(errors='replace')}"


def clone(raw: Path, image: Path, *options: str) -> None:
    """``-f`` is how often it shows itself, in seconds, which it also waits for at the end."""
    log = image.with_suffix(".log")
    run(f"partclone.{raw.suffix[1:]}", "-c", "-s", raw, "-O", image, "-L", log, "-f", "1", *options)


def restore(image: Path, out: Path) -> None:
    log = image.with_suffix(".log")
    run("partclone.restore", "-s", image, "-O", out, "-C", "--restore_raw_file", "-L", log, "-f", "1")
