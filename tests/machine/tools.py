"""Programs of the machine that runs the tests: started here, and nowhere else in this room."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": os.environ.get("HOME", "/root"),
    "DEBIAN_FRONTEND": "noninteractive",
}


class ToolFailed(Exception):
    """With what it has said."""


def run(*command: str | Path, stdin: str = "") -> str:
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=_ENVIRONMENT,
    )
    if done.returncode != 0:
        raise ToolFailed(f"{' '.join(map(str, command))}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def missing(*programs: str) -> list[str]:
    return [program for program in programs if shutil.which(program, path=_ENVIRONMENT["PATH"]) is None]
