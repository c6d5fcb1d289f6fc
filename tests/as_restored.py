"""For agents of tests that compare a partition with its image, byte by byte: nothing is changed on it afterwards."""

from __future__ import annotations

from typing import Final

from ogagent.settings import FinishSettings

AS_RESTORED: Final = FinishSettings(grow=False, identity=False, boot=False, agent=False)
AS_RESTORED_TOML: Final = "[finish]\ngrow = false\nidentity = false\nboot = false\nagent = false\n"
