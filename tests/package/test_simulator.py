"""The simulator's package in fresh systems: it works in the environment of the agent, and goes without a trace."""

from __future__ import annotations

import zipfile

import pytest

from ogagent import __version__
from systemd.packaging.wheels import AGENT, SIM
from tests.machine.network import is_own
from tests.machine.tools import ToolFailed
from tests.package.conftest import NEXT, Package
from tests.package.system import System

pytestmark = pytest.mark.xdist_group("room")


@pytest.mark.skipif(not is_own(), reason="there is no network namespace to be had")
def test_from_the_first_installation_to_nothing(debian: System, package: Package) -> None:
    before = debian.files()
    debian.install(package(SIM), package(AGENT))
    assert debian.run("ogsim", "--version") == f"ogsim {__version__}\n"
    assert "Completed successfully" in debian.run("ogsim", "demo")

    debian.install(package(AGENT, NEXT), package(SIM, NEXT))
    assert debian.run("dpkg-query", "--show", "--showformat", "${Version}", "ogsim") == f"1:{NEXT}-1"
    assert debian.run("ogsim", "--version") == f"ogsim {__version__}\n"
    assert len(list((debian.root / "opt/ogagent").glob("venv-*"))) == 1

    debian.run("dpkg", "--purge", "ogsim")
    assert not (debian.root / "usr/bin/ogsim").is_symlink()
    with pytest.raises(ToolFailed, match="No module named 'simulator'"):
        debian.run("/opt/ogagent/venv/bin/python3", "-I", "-c", "import simulator")
    assert debian.run("ogagent", "--version").startswith("ogagent ")
    debian.run("dpkg", "--purge", "ogagent")
    assert debian.files() - before == set()


def test_a_simulator_that_does_not_work_keeps_no_agent_from_its_upgrade(debian: System, package: Package) -> None:
    """That of another version, say: who installs with dpkg can have it."""
    debian.install(package(AGENT), package(SIM))
    with zipfile.ZipFile(debian.root / "usr/lib/ogagent/wheels/any/simulator.zip", "w") as code:
        code.writestr("simulator/__init__.py", "")
    said = debian.install(package(AGENT, NEXT))
    assert "the ogsim that is installed does not work with this agent" in said
    assert debian.run("ogagent", "--version").startswith("ogagent ")
    assert not (debian.root / "opt/ogagent/venv/bin/ogsim").exists()
    debian.install(package(SIM, NEXT))
    assert debian.run("ogsim", "--version").startswith("ogsim ")


def test_another_simulator_of_the_same_name_is_taken_in(debian: System, package: Package) -> None:
    """What counts is what it holds: the file has no version in its name."""
    debian.install(package(AGENT), package(SIM))
    with zipfile.ZipFile(debian.root / "usr/lib/ogagent/wheels/any/simulator.zip", "a") as code:
        code.writestr("simulator/newer.py", "")
    debian.run("/var/lib/dpkg/info/ogagent.postinst", "triggered", "/usr/lib/ogagent/wheels")
    debian.run("/opt/ogagent/venv/bin/python3", "-I", "-c", "import simulator.newer")
