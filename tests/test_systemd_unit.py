"""The unit, as systemd itself reads it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from ogagent.settings import Settings

UNIT = Path(__file__).parents[1] / "systemd" / "ogagent.service"


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (package systemd)")
def test_systemd_finds_nothing_wrong(service: dict[str, str], tmp_path: Path) -> None:
    """verify insists that the program of ExecStart exists; here it lies elsewhere, so another one takes its place."""
    program = service["ExecStart"].split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(program, sys.executable))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")


def test_the_agent_speaks_to_systemd_itself(service: dict[str, str]) -> None:
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert int(service["WatchdogSec"]) > 0


def test_a_configuration_error_is_not_repeated(service: dict[str, str]) -> None:
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "78"


def test_the_state_directory_is_the_default_of_the_settings(service: dict[str, str]) -> None:
    assert f"/var/lib/{service['StateDirectory']}" == Settings().state.dir
    assert service["StateDirectoryMode"] == "0700"


def test_the_agent_stays_in_the_mount_namespace_of_the_machine(service: dict[str, str]) -> None:
    namespaced = ("Private", "Protect", "ReadOnly", "ReadWrite", "Inaccessible")
    private = [name for name in service if name.startswith(namespaced)]
    assert private == []
