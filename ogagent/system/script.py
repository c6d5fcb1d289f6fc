"""A script that somebody else has written, run as it asks to be."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.errors import ScriptNotRun, ToolFailed, ToolMissing
from ogagent.system import process
from ogagent.system.account import Account
from ogagent.system.patience import in_thread

LONGEST: Final = 64 << 10  # bytes, which is as much as a call may hold
_USUAL: Final = ("/bin/bash",)
_MARK: Final = "#!"
_NO_TEXT: Final = "\N{REPLACEMENT CHARACTER}"


class Ended(Struct, frozen=True, kw_only=True):
    """``output`` is the end of what it printed; ``status`` as a shell gives it, 128 and more for a signal."""

    status: int
    output: str


async def run_script(script: str, file: Path, *, most: int) -> Ended:
    """It lies in ``file`` while it runs, for nobody else to read. It and its children have ended when this returns.

    Raises ScriptNotRun when its interpreter is not there or cannot be started.
    """
    try:
        await in_thread(_write, file, script)
        return _ended(await process.follow([*interpreter(script), str(file)], most=most))
    except (ToolMissing, ToolFailed) as error:
        raise _not_run(error) from error
    finally:
        await in_thread(partial(file.unlink, missing_ok=True))


async def run_script_as(account: Account, script: str, *, most: int) -> Ended:
    """As ``run_script``, but as somebody who may not read what is the agent's: the script lies in memory."""
    fd = os.memfd_create("script")
    try:
        os.write(fd, script.encode(errors="surrogatepass"))
        command = [*interpreter(script), f"/proc/self/fd/{fd}"]
        return _ended(await process.follow(command, most=most, account=account, fds=[fd]))
    except (ToolMissing, ToolFailed) as error:
        raise _not_run(error) from error
    finally:
        os.close(fd)


def _not_run(error: ToolMissing | ToolFailed) -> ScriptNotRun:
    return ScriptNotRun(f"The script cannot be run: {error.message}", hint="look at its first line")


def _ended(followed: process.Followed) -> Ended:
    status = followed.status if followed.status >= 0 else 128 - followed.status
    return Ended(status=status, output=followed.output.decode(errors="replace").replace("\0", _NO_TEXT))


def interpreter(script: str) -> tuple[str, ...]:
    """As execve(2) reads the first line: a path, and the rest as one argument."""
    first = script.partition("\n")[0]
    path, _, argument = first.removeprefix(_MARK).strip().partition(" ")
    if not first.startswith(_MARK) or not path.startswith("/"):
        return _USUAL
    return (path, argument.strip()) if argument.strip() else (path,)


def _write(file: Path, script: str) -> None:
    """One runs at a time: what else is there is of an agent that was killed."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in file.parent.iterdir():
        left.unlink()
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8", errors="surrogatepass") as opened:
        opened.write(script)
