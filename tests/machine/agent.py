"""The agent as it is now, put into a root beside its packages, under one of its units, as README says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.machine import debian, venv
from tests.machine.venv import ROOT

_PROGRAM: Final = """#!/opt/ogagent/venv/bin/python3
import sys
from ogagent.cli import main
sys.exit(main())
"""


def install_agent(root: Path, unit: str, settings: str) -> None:
    shutil.copytree(ROOT / "ogagent", venv.site(root) / "ogagent", ignore=shutil.ignore_patterns("__pycache__"))
    venv.compile_all(root)
    debian.write(root, f"{venv.PLACE}/bin/ogagent", _PROGRAM)
    (root / venv.PLACE / "bin/ogagent").chmod(0o755)
    debian.write(root, "etc/ogagent/ogagent.toml", settings)
    shutil.copy(ROOT / "systemd" / unit, root / "etc/systemd/system")
    debian.inside(root, "systemctl", "--quiet", "enable", unit)
