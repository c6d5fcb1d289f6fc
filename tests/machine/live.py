"""The live system that restores: with the agent in it, under its own unit, as README says it is put there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from tests.machine import debian, disks, live_root
from tests.machine.agent import install_agent
from tests.machine.network import NETWORK
from tests.machine.ogcore import OGCORE
from tests.machine.tools import run
from tests.machine.vm import Drive, Kernel

_SETTINGS: Final = f"""
[access]
mode = "address"
allow = ["{NETWORK}"]

[ogcore]
url = "{OGCORE}"
ca = "/etc/ogagent/ca.pem"

[repository]
ca = "/etc/ogagent/ca.pem"

[cache]
required = false

[disks]
exclude = ["/dev/disk/by-id/virtio-live", "/dev/disk/by-id/virtio-state"]
"""
COMMAND_LINE: Final = "console=ttyS0 loglevel=4 mitigations=off systemd.journald.forward_to_console=1"
"""Of each live system, however it starts."""


class Live:
    """With the agent as it is now. ``authority``: the CA that vouches for the repository and for ogCore."""

    def __init__(self, folder: Path, authority: str) -> None:
        self._base = live_root.base()
        self._root = folder / "live.img"
        run("cp", "--sparse=always", "--reflink=auto", self._base / "root.img", self._root)
        with disks.mounted(self._root, folder / "live", "-o", "loop") as root:
            debian.write(root, "etc/ogagent/ca.pem", authority)
            install_agent(root, "ogagent.service", _SETTINGS)

    def kernel(self, mac: str) -> Kernel:
        """Each PC is always the same one to the DHCP server."""
        own = hashlib.md5(mac.encode()).hexdigest()
        words = f"root=LABEL=live rw {COMMAND_LINE} systemd.machine_id={own}"
        return Kernel(self._base / "ogvmlinuz", self._base / "oginitrd.img", words)

    def drives(self, state: Path) -> tuple[Drive, Drive]:
        """What is written to its root goes with the power, as in a live system; what the agent remembers does not."""
        if not state.exists():
            with state.open("xb") as opened:
                opened.truncate(64 << 20)
            run("mke2fs", "-q", "-t", "ext4", "-L", "state", "-m", "0", state)
        return Drive(self._root, "live", volatile=True), Drive(state, "state")
