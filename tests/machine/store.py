"""What all classrooms of a run share."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import Final

from simulator.certificates import Authority
from tests.machine import disks
from tests.machine.agent import install_agent
from tests.machine.live import Live
from tests.machine.models import Model
from tests.machine.oglive import make_oglive
from tests.machine.tools import run

_ELSEWHERE: Final = '[ogcore]\nurl = "https://ogcore.elsewhere.example"\n'
"""A model's agent belongs to another ogCore than that of the room."""


class Store:
    """The live systems with the agent as it is now, one on a disk and one for the network, and the images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = Authority(folder / "tls")
        self.images = folder / "images"
        self.images.mkdir()
        self.live = Live(folder, self.authority.certificate.read_text(encoding="utf-8"))

    @cached_property
    def oglive(self) -> Path:
        """The directory with what PCs start from the network."""
        folder = self._folder / "oglive"
        make_oglive(folder, self.authority.certificate)
        return folder

    def disk(self, model: Model) -> Path:
        """With the agent as it is now, where the model has one. Nobody writes to it."""
        if not model.has_agent:
            return model.disk()
        disk = self._folder / f"{model.name}.img"
        if not disk.exists():
            run("cp", "--sparse=always", "--reflink=auto", model.disk(), disk)
            at = self._folder / model.name
            with disks.attached(disk) as device, disks.mounted(f"{device}p{model.root.number}", at) as root:
                install_agent(root, "ogagent-installed.service", _ELSEWHERE)
        return disk

    def image(self, model: Model) -> str:
        """Its name; it is made from the model's partition as anybody would make it by hand."""
        image = self.images / f"{model.name}.img"
        if not image.exists():
            with disks.attached(self.disk(model)) as device:
                agent = [sys.executable, "-m", "ogagent", "capture", "--level", "1"]
                run(*agent, f"{device}p{model.root.number}", image)
        return model.name
