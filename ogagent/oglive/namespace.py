"""Root enough to install a package into a tree, without being root: in a user namespace of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from ogagent.errors import NotAdded, ToolFailed
from ogagent.system import process

_UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
_TRY_S: Final = 10.0
_ANY_OWNER: Final = 65535


async def require_namespaces() -> None:
    """Raises NotAdded where they are not for everybody, and ToolMissing."""
    try:
        await process.run([*_UNSHARE, "true"], timeout_s=_TRY_S)
    except ToolFailed as error:
        raise NotAdded(
            f"this kernel lets only root make user namespaces: {error.message}",
            hint="run it as root, or allow them: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone "
            "(Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
        ) from error


def is_wholly_root() -> bool:
    """Of all owners that there are, and not of those that such a namespace knows: user_namespaces(7)."""
    inside, outside, count = map(int, Path("/proc/self/uid_map").read_text("utf-8").split()[:3])
    return os.geteuid() == inside == outside == 0 and count > _ANY_OWNER


def begin_anew(arguments: Sequence[str]) -> NoReturn:
    """The same command, in one. Whoever is root in there owns nothing more outside than before."""
    process.become([*_UNSHARE, "--", sys.executable, "-P", "-m", "ogagent", *arguments])
