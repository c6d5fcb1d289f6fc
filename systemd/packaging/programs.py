"""What has a page in the manual and completion in bash."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

import ogagent.cli
import simulator.cli
from systemd.packaging.wheels import AGENT, SIM


class Program(Struct, frozen=True, kw_only=True):
    """``title`` is its line in NAME; ``statuses``, ``files`` and ``see`` are sections of the page."""

    name: str
    title: str
    about: str
    parser: Callable[[], argparse.ArgumentParser]
    statuses: Mapping[str, str]
    files: Mapping[str, str]
    see: Mapping[str, int]


_VENV: Final = {"/opt/ogagent/venv": "Python packages, made when the package is installed."}
_FAILED: Final = {
    "0": "All went well.",
    "1": "It failed; what and why stands on standard error.",
    "2": "The command line is wrong.",
}
_NOT_BEGUN: Final = {"78": "The configuration cannot be used.", "130": "It was interrupted."}

PROGRAMS: Final = {
    AGENT: Program(
        name="ogagent",
        title="the OpenGnsys agent for ogLive",
        about="""ogagent is the agent of OpenGnsys. It runs in an ogLive, does what ogCore asks it to do with the
disks of its PC, and reports until ogCore has it. The same engine can be used by hand.""",
        parser=ogagent.cli.parser,
        statuses={
            **_FAILED,
            "75": "The agent has ended because it was told to retire, and is to be started anew.",
            **_NOT_BEGUN,
        },
        files={
            "/etc/ogagent/ogagent.toml": "The configuration, see ogagent.toml(5).",
            "/var/lib/ogagent": "What must survive a restart: the journal of jobs, the agent's certificate.",
            **_VENV,
        },
        see={"ogagent.toml": 5},
    ),
    SIM: Program(
        name="ogsim",
        title="a computer room of OpenGnsys without hardware",
        about="""ogsim plays all that an agent of OpenGnsys talks to: ogCore with a console in the browser, a repository
of images, and PCs whose disks are files. The agents on them are the real ones. It needs no root but to measure.""",
        parser=simulator.cli.parser,
        statuses={**_FAILED, **_NOT_BEGUN},
        files=_VENV,
        see={"ogagent": 1, "ogagent.toml": 5},
    ),
}
"""By package."""
