"""The ogLive that PCs start from the network: it has the agent's package, put there as README says."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from systemd.packaging.build import build
from tests.machine import live_root
from tests.machine.ogcore import OGCORE
from tests.machine.tools import run
from tests.package import roots


def make_oglive(folder: Path, authority: Path) -> None:
    """The directory that ogBoot serves. ``authority``: the CA that vouches for ogCore and for the repository."""
    folder.mkdir()
    for name in ("ogvmlinuz", "oginitrd.img", "ogclient.sqfs"):
        shutil.copy(live_root.base() / name, folder)
    deb = build(roots.fetched(), folder)
    add = [sys.executable, "-m", "ogagent", "oglive", "add"]
    run(*add, folder / "ogclient.sqfs", "--deb", deb, "--ogcore", OGCORE, "--ca", authority)
